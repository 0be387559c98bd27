package ensemble

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestThreeServersHaveOneLeaderAndTheSameData(t *testing.T) {
	e := Start(t, 3)
	if n := len(strings.Split(e.ConnectString(), ",")); n != 3 {
		t.Errorf("%d addresses in %q", n, e.ConnectString())
	}
	leader, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range e.Servers() {
		if s.ID() != i+1 {
			t.Errorf("server %d has the ID %d", i+1, s.ID())
		}
		stat, err := s.Stat(within(t))
		if err != nil {
			t.Fatal(err)
		}
		want := "follower"
		if s == leader {
			want = "leader"
		}
		if got := stat["zk_server_state"]; got != want {
			t.Errorf("%v is %q, want %q", s, got, want)
		}
	}
	create(t, client(t, e.Servers()[0].Addr()), "/a", "1")
	other := client(t, e.Servers()[1].Addr())
	if _, err := other.Sync("/a"); err != nil {
		t.Fatal(err)
	}
	wantData(t, other, "/a", "1")
}

func TestKilledLeaderIsReplacedAndComesBackAsFollower(t *testing.T) {
	e := Start(t, 3)
	old, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	// The dead one is no hindrance.
	if err := e.WaitServing(within(t)); err != nil {
		t.Fatal(err)
	}
	leader, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if leader == old {
		t.Fatal("the dead server leads")
	}
	create(t, client(t, leader.Addr()), "/while-away", "1")

	if err := old.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if again, err := e.Leader(within(t)); err != nil || again != leader {
		t.Errorf("leader is %v, %v; want still %v", again, err, leader)
	}
	conn := client(t, old.Addr())
	if _, err := conn.Sync("/"); err != nil {
		t.Fatal(err)
	}
	wantData(t, conn, "/while-away", "1")
}

func TestStoppedLeaderIsReplacedAndFollowsAfterContinue(t *testing.T) {
	e := Start(t, 3)
	old, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	leader, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if leader == old {
		t.Fatal("the stopped server leads")
	}
	create(t, client(t, leader.Addr()), "/while-away", "1")

	if err := old.Continue(); err != nil {
		t.Fatal(err)
	}
	// For a moment the old leader still takes itself for the leader.
	if again, err := e.Leader(within(t)); err != nil || again == old {
		t.Errorf("leader is %v, %v; want not %v", again, err, old)
	}
	err = poll(within(t), func() (bool, error) { return old.status(t.Context()).mode == "follower", nil })
	if err != nil {
		t.Fatal("the old leader does not follow:", err)
	}
	if err := e.WaitServing(within(t)); err != nil {
		t.Fatal(err)
	}
	conn := client(t, old.Addr())
	if _, err := conn.Sync("/"); err != nil {
		t.Fatal(err)
	}
	wantData(t, conn, "/while-away", "1")
}

func TestWipedFollowerGetsTheDataFromTheLeader(t *testing.T) {
	e := Start(t, 3)
	leader, err := e.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	create(t, client(t, leader.Addr()), "/a", "1")
	follower := e.Servers()[leader.ID()%3] // the next one
	if err := errors.Join(follower.Kill(), follower.Wipe(), follower.Restart(within(t))); err != nil {
		t.Fatal(err)
	}
	wantData(t, client(t, follower.Addr()), "/a", "1")
}

func TestWipedEnsembleStartsEmpty(t *testing.T) {
	e := Start(t, 3)
	create(t, client(t, strings.Split(e.ConnectString(), ",")...), "/a", "1")
	for _, s := range e.Servers() {
		if err := errors.Join(s.Kill(), s.Wipe()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.WaitServing(within(t)); err == nil {
		t.Error("WaitServing succeeds though no server runs")
	}
	for _, s := range e.Servers() {
		if err := s.StartProcess(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.WaitServing(within(t)); err != nil {
		t.Fatal(err)
	}
	conn := client(t, e.Servers()[0].Addr())
	if exists, _, err := conn.Exists("/a"); err != nil || exists {
		t.Errorf("the node exists: %v, %v", exists, err)
	}
}

func TestRestartWithoutMajorityEndsWithItsContext(t *testing.T) {
	e := Start(t, 3)
	for _, s := range e.Servers()[:2] {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s := e.Servers()[0]
	if err := e.Servers()[2].Kill(); err != nil {
		t.Fatal(err)
	}
	err := s.Restart(short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.String()) {
		t.Errorf("Restart: %v, want the end of the context and the server's name", err)
	}
	if !s.Running() {
		t.Error("it does not run on")
	}
	if leader, err := e.Leader(short); err == nil {
		t.Errorf("%v leads alone", leader)
	}
	// With a second server there is a majority.
	if err := e.Servers()[1].Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitServing(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestNilEnsembleHasNoLeaderAndIsClosed(t *testing.T) {
	var e *Ensemble
	if leader, err := e.Leader(t.Context()); err == nil {
		t.Errorf("leader %v", leader)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestLeaderNeedsAMajorityAndTheNewestEpoch(t *testing.T) {
	a, b, c := &Server{id: 1}, &Server{id: 2}, &Server{id: 3}
	dead := status{server: c, err: errDead}
	tests := map[string]struct {
		all  []status
		want *Server
	}{
		"standalone":             {[]status{{server: a, mode: "standalone"}}, a},
		"dead standalone":        {[]status{dead}, nil},
		"two of three":           {[]status{{server: a, mode: "follower"}, {server: b, mode: "leader"}, dead}, b},
		"leader without quorum":  {[]status{{server: a, mode: "leader"}, dead, dead}, nil},
		"followers of a dead":    {[]status{{server: a, mode: "follower"}, {server: b, mode: "follower"}, dead}, nil},
		"woken leader":           {[]status{{server: a, mode: "leader", epoch: 1}, {server: b, mode: "leader", epoch: 2}, {server: c, mode: "follower", epoch: 2}}, b},
		"woken leader, reversed": {[]status{{server: a, mode: "leader", epoch: 2}, {server: b, mode: "leader", epoch: 1}, {server: c, mode: "follower", epoch: 2}}, a},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := leaderOf(test.all); got != test.want {
				t.Errorf("leader is %v, want %v", got, test.want)
			}
		})
	}
}

func TestServersOutliveTheThreadThatStartedThem(t *testing.T) {
	Need(t)
	started := make(chan *Ensemble, 1)
	// Ends by itself, and its OS thread with it because it stays locked.
	go func() {
		runtime.LockOSThread()
		e, err := New(t.Context(), 1, Options{})
		if err != nil {
			t.Error(err)
		}
		started <- e
	}()
	e := <-started
	if e == nil {
		return
	}
	defer e.Close()
	// The end of the thread would kill the server within milliseconds. Only time
	// can show that it does not.
	select {
	case <-e.servers[0].proc.done:
		t.Fatalf("the server has ended: %v", e.servers[0].proc.err)
	case <-time.After(300 * time.Millisecond):
	}
	if answer, err := e.Servers()[0].FourLetter(within(t), "ruok"); err != nil || answer != "imok" {
		t.Errorf("ruok: %q, %v", answer, err)
	}
}
