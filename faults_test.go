package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
)

// The storm: every watched node changes while the connection is down, and go-zookeeper's own way to
// re-arm watches is led into its race by callers that use the connection all the time.
func storm(t *testing.T, f *fixture, streams, rounds int) {
	c := f.connect(zkstream.WithSessionTimeout(40 * time.Second))
	pipelined(t, streams, func(i int) error {
		_, err := f.admin.Create(fmt.Sprintf("%s/%05d", f.root, i), []byte("0"), 0, zk.WorldACL(zk.PermAll))
		return err
	})
	all := make([]*zkstream.Stream[zkstream.Data], streams)
	for i := range all {
		all[i] = c.Data(t.Context(), fmt.Sprintf("/%05d", i))
	}
	for _, s := range all {
		next(t, s)
	}
	settled(t, c)
	stop := make(chan struct{})
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := c.Conn().Exists("/"); err != nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for round := 1; round <= rounds; round++ {
		// Watches of go-zookeeper's own, which zkstream does not use, have it do what its race is in: for the
		// race detector. Without them nothing holds replies up on a new connection.
		var own []<-chan zk.Event
		if raceEnabled {
			own = make([]<-chan zk.Event, 300)
		}
		pipelined(t, len(own), func(i int) (err error) {
			_, _, own[i], err = c.Conn().ExistsW(fmt.Sprintf("%s/%05d", f.root, i))
			return err
		})
		f.Cut()
		down(t, c)
		want := fmt.Sprint(round)
		pipelined(t, streams, func(i int) error {
			_, err := f.admin.Set(fmt.Sprintf("%s/%05d", f.root, i), []byte(want), -1)
			return err
		})
		f.Heal()
		if round%2 == 0 {
			for range 3 {
				up(t, c)
				time.Sleep(10 * time.Millisecond)
				before := f.Accepted()
				f.Drop()
				eventually(t, "the client connects again", func() bool { return f.Accepted() > before })
			}
		}
		missed := 0
		end := time.After(2 * patience)
		for i, s := range all {
			for got := ""; got != want; {
				select {
				case d, ok := <-s.C():
					if !ok {
						t.Fatalf("stream %d ended: %v", i, s.Err())
					}
					got = d.String()
				case <-end:
					missed++
					got = want
				}
			}
		}
		for i, events := range own {
			if round%2 == 0 {
				break // lost again before its watches were set, go-zookeeper does miss changes
			}
			select {
			case ev := <-events:
				if ev.Type != zk.EventNodeDataChanged {
					t.Fatalf("round %d: go-zookeeper's watch %d: %+v", round, i, ev)
				}
			case <-end:
				t.Fatalf("round %d: go-zookeeper's watch %d missed its change", round, i)
			}
		}
		if missed > 0 {
			t.Fatalf("round %d: %d of %d streams missed their change", round, missed, streams)
		}
		settled(t, c)
		for _, s := range all {
			empty(t, s, "although it has the change")
		}
	}
}

// pipelined calls fn for 0 to n-1 with some concurrency.
func pipelined(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := fn(int(i)); err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func up(t testing.TB, c *zkstream.Client) {
	t.Helper()
	eventually(t, "the client is connected", zkstream.Connection(c).IsUp)
}

func TestNoStreamMissesAChangeInAStorm(t *testing.T) {
	onEachAlone(t, func(t *testing.T, f *fixture) {
		if raceEnabled {
			storm(t, f, 3000, 4)
		} else {
			storm(t, f, 20_000, 10) // the size at which go-zookeeper alone loses thousands of events
		}
	})
}

// The story that users of zc.zk rely on, line by line.
func TestTheWholeScenario(t *testing.T) { onEach(t, testTheWholeScenario) }

func testTheWholeScenario(t *testing.T, f *fixture) {
	ctx := t.Context()
	// The server's timeout is waited for below. It is no shorter, because a machine that is busy with other tests would
	// expire a session that nobody has cut off.
	server, user := f.connect(zkstream.WithSessionTimeout(4*time.Second)), connect(t, f.direct+f.root)

	// Registering creates path/HOST:PORT: ephemeral, world-readable only, JSON with pid.
	if err := server.Create(ctx, "/fooservice/providers", nil); err != nil {
		t.Fatal(err)
	}
	const node = "/fooservice/providers/192.168.0.42:8080"
	reg, err := server.Register(ctx, "/fooservice/providers", "192.168.0.42:8080", nil)
	if err != nil {
		t.Fatal(err)
	}
	if pid, _ := propertiesOf(f.get(node)).Get("pid"); pid != int64(os.Getpid()) {
		t.Errorf("pid %v", pid)
	}
	if acl, _, err := f.admin.GetACL(f.root + node); err != nil || !slices.Equal(acl, zk.WorldACL(zk.PermRead)) {
		t.Errorf("%v, %v", acl, err)
	}
	if f.owner(node) != zkstream.SessionID(server) {
		t.Error("not an ephemeral node of the session")
	}

	// Children: the names now, and after each change, at once.
	providers := user.Children(ctx, "/fooservice/providers")
	if got := next(t, providers); names(got) != "192.168.0.42:8080" {
		t.Errorf("%v", got)
	}
	second, err := server.Register(ctx, "/fooservice/providers", "192.168.0.42:8081", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := next(t, providers); names(got) != "192.168.0.42:8080 192.168.0.42:8081" {
		t.Errorf("%v", got)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if got := next(t, providers); names(got) != "192.168.0.42:8080" {
		t.Errorf("%v", got)
	}

	// Properties: a mapping; the writer's own change comes back to it; set replaces, update merges.
	if err := user.SetProperties(ctx, "/fooservice", map[string]any{"database": "/databases/foomain", "threads": 1}); err != nil {
		t.Fatal(err)
	}
	props := user.Properties(ctx, "/fooservice")
	if got := next(t, props.Stream); got.String() != `{"database": "/databases/foomain", "threads": 1}` {
		t.Errorf("%s", got)
	}
	if err := props.Update(ctx, map[string]any{"threads": 2, "favorite_color": "red"}); err != nil {
		t.Fatal(err)
	}
	got := next(t, props.Stream)
	if v, err := zkstream.Value[int](got, "threads"); v != 2 || err != nil || got.Len() != 3 {
		t.Errorf("%s", got)
	}
	if err := props.Set(ctx, map[string]any{"b": 2}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, props.Stream); got.String() != `{"b": 2}` || f.get("/fooservice") != `{"b": 2}` {
		t.Errorf("%s", got)
	}
	for _, text := range []string{"xxx", "{xxx}", "\n{xxx}\n", "[1]", "3"} {
		f.set("/fooservice", text)
		if v, err := zkstream.Value[string](next(t, props.Stream), "string_value"); v != text || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}
	if err := props.Set(ctx, map[string]any{"string_value": "xxx"}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, props.Stream); got.String() != "xxx" || f.get("/fooservice") != "xxx" {
		t.Errorf("%s", got)
	}
	f.set("/fooservice", "")
	if got := next(t, props.Stream); got.Len() != 0 || !got.Exists() {
		t.Errorf("%q", got)
	}

	// A session is made anew by itself, and all watches and registrations with it.
	f.Cut()
	if got := next(t, providers); got.Len() != 0 { // the server's node goes with its session
		t.Errorf("%v", got)
	}
	f.Heal()
	if got := next(t, providers); names(got) != "192.168.0.42:8080" {
		t.Errorf("%v", got)
	}
	expire(t, user)
	settled(t, user)
	f.set("/fooservice", `{"after": "expiry"}`)
	if got := next(t, props.Stream); got.String() != `{"after": "expiry"}` {
		t.Errorf("%s", got)
	}

	// Closing removes ephemerals at once.
	server.Close()
	if got := next(t, providers); got.Len() != 0 {
		t.Errorf("%v", got)
	}
	if reg.Err() != zkstream.ErrClosed {
		t.Errorf("%v", reg.Err())
	}

	// A deleted node: the mapping is empty, updates fail; it is watched when it is back.
	plain := user.Properties(ctx, "/other")
	next(t, plain.Stream)
	f.create("/other", `{"a": 1}`)
	next(t, plain.Stream)
	f.delete("/other")
	if got := next(t, plain.Stream); got.Exists() || got.Len() != 0 {
		t.Errorf("%s", got)
	}
	if err := plain.Update(ctx, map[string]any{"a": 2}); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("updating a deleted node: %v", err)
	}
	f.create("/other", `{"a": 3}`)
	if got := next(t, plain.Stream); got.String() != `{"a": 3}` {
		t.Errorf("%s", got)
	}

	// The low-level handle is there for what the helper lacks.
	if _, stat, err := user.Conn().Get(f.root + "/other"); err != nil || stat.Version != 0 {
		t.Errorf("%v, %v", stat, err)
	}
}

// follower is a client with all that the ensemble tests look at.
type follower struct {
	t        *testing.T
	c        *zkstream.Client
	e        *ensemble.Ensemble
	counter  *zkstream.PropertyStream
	children *zkstream.Stream[zkstream.Children]
	reg      *zkstream.Registration
	n        int
}

func follow(t *testing.T, e *ensemble.Ensemble, timeout time.Duration) *follower {
	c := connect(t, e.ConnectString(), zkstream.WithSessionTimeout(timeout))
	err := zkstream.ErrUnknown
	for errors.Is(err, zkstream.ErrUnknown) {
		err = c.Create(t.Context(), "/counter", nil)
	}
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		t.Fatal(err)
	}
	reg, err := c.Register(t.Context(), "/svc", "a:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t: t, c: c, e: e, reg: reg,
		counter: c.Properties(t.Context(), "/counter"), children: c.Children(t.Context(), "/svc")}
}

// step shows that a write, a stream of content, a stream of children and the registration all work.
func (f *follower) step(when string) {
	f.t.Helper()
	f.n++
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*patience)
	defer cancel()
	err := zkstream.ErrUnknown
	for errors.Is(err, zkstream.ErrUnknown) { // whether it was carried out or not, once more does no harm
		err = f.c.UpdateProperties(ctx, "/counter", map[string]any{"n": f.n})
	}
	if err != nil {
		f.t.Fatalf("%s: %v", when, err)
	}
	until(f.t, f.counter.Stream, func(p zkstream.Properties) bool { v, _ := p.Get("n"); return v == int64(f.n) })
	r, err := f.c.Register(ctx, "/svc", fmt.Sprintf("b:%d", f.n), nil)
	if err != nil {
		f.t.Fatalf("%s: %v", when, err)
	}
	until(f.t, f.children, func(c zkstream.Children) bool { return c.Contains(r.Addr()) && c.Contains("a:1") })
	until(f.t, f.reg.Status(ctx), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	if err := r.Close(); err != nil {
		f.t.Fatalf("%s: %v", when, err)
	}
	until(f.t, f.children, func(c zkstream.Children) bool { return !c.Contains(r.Addr()) && c.Contains("a:1") })
}

func TestAnEnsembleWhoseServersAreKilledOneByOne(t *testing.T) {
	t.Parallel()
	e := ensemble.Start(t, 3)
	f := follow(t, e, 4*time.Second)
	f.step("at first")
	for i, server := range e.Servers() {
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		f.step(fmt.Sprintf("without server %d", i))
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.step(fmt.Sprintf("with server %d back", i))
	}
	checkOwner(t, f)
}

func TestAnEnsembleWhoseLeaderHangs(t *testing.T) {
	t.Parallel()
	e := ensemble.Start(t, 3)
	const timeout = 2 * time.Second
	f := follow(t, e, timeout)
	f.step("at first")
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		// All of them: one that is about to join would wait for the frozen leader, as ZooKeeper
		// does, for all of initLimit, and the third has no majority.
		err := e.WaitServing(ctx)
		leader, err2 := e.Leader(ctx)
		cancel()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if err := leader.Stop(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		f.step("with the leader stopped")
		time.Sleep(time.Until(begun.Add(timeout + time.Second))) // longer than the session timeout
		if err := leader.Continue(); err != nil {
			t.Fatal(err)
		}
		f.step("with the leader back")
	}
	checkOwner(t, f)
}

func TestAnEnsembleWithoutQuorum(t *testing.T) {
	t.Parallel()
	e := ensemble.Start(t, 3)
	f := follow(t, e, 3*time.Second)
	f.step("at first")
	servers := e.Servers()
	for _, s := range servers[:2] {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, f.c.Session(t.Context()), func(s zkstream.Session) bool { return s.State == zkstream.Expired })
	for _, s := range servers[:2] {
		if err := s.StartProcess(); err != nil {
			t.Fatal(err)
		}
	}
	f.step("with quorum again")
	checkOwner(t, f)
}

// checkOwner shows that the registration's node is of the client's session.
func checkOwner(t *testing.T, f *follower) {
	t.Helper()
	if err := f.e.WaitServing(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, f.c)
	var servers []string
	for _, s := range f.e.Servers() {
		servers = append(servers, s.Addr())
	}
	zc := plainClient(t, servers...)
	zc.Sync("/svc/a:1")
	exists, stat, err := zc.Exists("/svc/a:1")
	if err != nil || !exists || stat.EphemeralOwner != zkstream.SessionID(f.c) {
		t.Errorf("the node: %v, %+v, %v; the session is %s", exists, stat, err, hex(zkstream.SessionID(f.c)))
	}
}
