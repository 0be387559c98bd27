package ensemble

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestStandaloneServerServesAndLeads(t *testing.T) {
	e := Start(t, 1)
	s := e.Servers()[0]
	if e.ConnectString() != s.Addr() {
		t.Errorf("ConnectString is %q, the server's address %q", e.ConnectString(), s.Addr())
	}
	if leader, err := e.Leader(within(t)); err != nil || leader != s {
		t.Errorf("leader is %v, %v", leader, err)
	}
	if answer, err := s.FourLetter(within(t), "ruok"); err != nil || answer != "imok" {
		t.Errorf("ruok: %q, %v", answer, err)
	}
	conn := client(t, s.Addr())
	create(t, conn, "/a", "1")
	wantData(t, conn, "/a", "1")
}

func TestKilledServerRestartsWithItsDataOnTheSamePort(t *testing.T) {
	e := Start(t, 1)
	s := e.Servers()[0]
	addr, pid := s.Addr(), s.PID()
	create(t, client(t, addr), "/a", "1")

	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if s.Running() || s.PID() != 0 {
		t.Error("the server runs after Kill")
	}
	if _, err := s.FourLetter(within(t), "ruok"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dead server's port: %v, want that it is refused", err)
	}
	if err := s.Kill(); err != nil {
		t.Errorf("second Kill: %v", err)
	}
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr || !s.Running() || s.PID() == pid {
		t.Errorf("restarted at %s with pid %d, running %v; was %s with %d", s.Addr(), s.PID(), s.Running(), addr, pid)
	}
	wantData(t, client(t, addr), "/a", "1")

	// Restart also kills a server that is running.
	pid = s.PID()
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if s.PID() == pid {
		t.Error("Restart left the running process")
	}
	wantData(t, client(t, addr), "/a", "1")
}

func TestWipedServerHasLostItsData(t *testing.T) {
	e := Start(t, 1)
	s := e.Servers()[0]
	create(t, client(t, s.Addr()), "/a", "1")

	if err := s.Wipe(); err == nil {
		t.Fatal("a running server was wiped")
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wipe(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.dataDir())
	if err != nil || len(entries) != 1 || entries[0].Name() != myidFile {
		t.Errorf("the data folder holds %v, %v; want %s alone", entries, err, myidFile)
	}
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if exists, _, err := client(t, s.Addr()).Exists("/a"); err != nil || exists {
		t.Errorf("the node exists: %v, %v", exists, err)
	}
}

func TestStoppedServerAnswersOnlyAfterContinue(t *testing.T) {
	e := Start(t, 1)
	s := e.Servers()[0]
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if !s.Running() {
		t.Error("a stopped server counts as dead")
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer, err := s.FourLetter(short, "ruok"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stopped server answers %q, %v", answer, err)
	}
	if _, err := e.Leader(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("leader of a stopped server: %v", err)
	}
	if err := e.WaitServing(within(t)); err == nil {
		t.Error("WaitServing succeeds though the only server is stopped")
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	if answer, err := s.FourLetter(within(t), "ruok"); err != nil || answer != "imok" {
		t.Errorf("a continued server answers %q, %v", answer, err)
	}
	if err := e.WaitServing(within(t)); err != nil {
		t.Error(err)
	}
}

func TestStoppedServerCanBeRestarted(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestDeadServerCannotBeStoppedOrContinued(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	if err := s.StartProcess(); err == nil {
		t.Error("a running server was started again")
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err == nil {
		t.Error("a dead server was stopped")
	}
	if err := s.Continue(); err == nil {
		t.Error("a dead server was continued")
	}
	if err := s.WaitServing(within(t)); err == nil {
		t.Error("a dead server serves")
	}
}

func TestFailedStartNamesTheServerAndItsLog(t *testing.T) {
	Need(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	tests := map[string]struct {
		opts Options
		want string
	}{
		"bad flag of Java": {Options{Java: []string{"-Xmx1nonsense"}}, "Invalid maximum heap size"},
		"bad zoo.cfg":      {Options{Config: map[string]string{"tickTime": "often"}}, "often"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := New(within(t), 1, test.opts)
			if err == nil {
				t.Fatal("it started", e.Close())
			}
			for _, want := range []string{"server 1 (127.0.0.1:", "exit status", test.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not have %q:\n%v", want, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(tmp, "ensemble*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := New(ctx, 1, Options{}); !errors.Is(err, context.Canceled) {
		t.Fatal("New with an ended context:", err, e.Close())
	}
	if e, err := New(t.Context(), 0, Options{}); err == nil {
		t.Fatal("an ensemble of none started", e.Close())
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	var log buffer
	e := Start(t, 1, Options{
		TickTime:          300 * time.Millisecond,
		MaxSessionTimeout: 90 * time.Second,
		Config:            map[string]string{"maxClientCnxns": "77"},
		Java:              []string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dsome.thing=here"},
		Log:               &log,
	})
	s := e.Servers()[0]
	conf, err := s.FourLetter(within(t), "conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tickTime=300\n", "minSessionTimeout=600\n", "maxSessionTimeout=90000\n", "maxClientCnxns=77\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("conf has no %q:\n%s", want, conf)
		}
	}
	if err := s.Kill(); err != nil { // all output has been copied then
		t.Fatal(err)
	}
	file, err := os.ReadFile(s.logPath())
	if err != nil || len(file) == 0 || log.String() != string(file) {
		t.Errorf("Log has %d bytes, the file %d, %v", len(log.String()), len(file), err)
	}
}

func TestDefaultsAllowShortSessionsAndTTLNodes(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	conf, err := s.FourLetter(within(t), "conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tickTime=200\n", "minSessionTimeout=400\n", "maxSessionTimeout=4000\n", "maxClientCnxns=0\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("conf has no %q:\n%s", want, conf)
		}
	}
	_, err = client(t, s.Addr()).CreateTTL("/ttl", nil, zk.FlagTTL, zk.WorldACL(zk.PermAll), time.Minute)
	if err != nil {
		t.Errorf("create a TTL node: %v", err)
	}
}

func TestTakenPortMakesTheStartTryAgain(t *testing.T) {
	Need(t)
	blocked, err := NewProxy("127.0.0.1:1") // it listens, that is all
	if err != nil {
		t.Fatal(err)
	}
	defer blocked.Close()
	_, text, _ := net.SplitHostPort(blocked.Addr())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	e, err := newEnsemble(within(t), 1, Options{}, func() (int, func(), error) {
		asked++
		if asked == 1 { // the client port of the first attempt
			return port, func() {}, nil
		}
		return reservePort()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if asked != 6 {
		t.Errorf("%d ports were chosen, want 3 in each of two attempts", asked)
	}
	if e.Servers()[0].ports.client == port {
		t.Error("it serves on a port that was taken")
	}
}

func TestMethodsMayBeCalledConcurrently(t *testing.T) {
	e := Start(t, 1)
	s := e.Servers()[0]
	ctx := within(t)
	var wg sync.WaitGroup
	// Each ends by itself; Wait below waits for them.
	wg.Go(func() {
		if err := s.Restart(ctx); err != nil {
			t.Error(err)
		}
	})
	for range 4 {
		wg.Go(func() {
			for range 20 {
				s.Running()
				s.PID()
				_, _ = s.Stat(ctx) // fails while the server restarts
			}
			if leader, err := e.Leader(ctx); err != nil || leader != s {
				t.Errorf("leader %v, %v", leader, err)
			}
		})
	}
	wg.Wait()
}
