package zkstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

var zooKeeper = ensemble.Shared{Options: ensemble.Options{MaxSessionTimeout: time.Minute}}

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // these tests wait more than they compute
		flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
	code := m.Run()
	if err := errors.Join(zooKeeper.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "something is left:", err)
		code = 1
	}
	os.Exit(code)
}

const patience = 20 * time.Second // how long a test waits for what must come

// fixture is a place of its own on a server, behind a proxy that can break the connection.
type fixture struct {
	*ensemble.Proxy
	t      testing.TB
	direct string   // the server's own address
	root   string   // chroot of the clients that connect makes
	admin  *zk.Conn // a plain client with its own, unbroken connection
}

var roots atomic.Int64

// onEach runs a test on a server in the process and on a real one, side by side with other tests.
func onEach(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Parallel()
	t.Run("zktest", func(t *testing.T) { t.Parallel(); test(t, onZktest(t)) })
	t.Run("zookeeper", func(t *testing.T) { t.Parallel(); test(t, onZooKeeper(t)) })
}

// onEachAlone does so for a test that counts goroutines or bytes, or wants the machine for itself.
func onEachAlone(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Run("zktest", func(t *testing.T) { test(t, onZktest(t)) })
	t.Run("zookeeper", func(t *testing.T) { test(t, onZooKeeper(t)) })
}

func onZktest(t testing.TB) *fixture {
	t.Helper()
	return newFixture(t, zktest.Start(t, zktest.WithTickTime(500*time.Millisecond)).Addr())
}

func onZooKeeper(t testing.TB) *fixture {
	t.Helper()
	return newFixture(t, zooKeeper.Server(t).Addr())
}

func newFixture(t testing.TB, direct string) *fixture {
	t.Helper()
	f := &fixture{
		Proxy:  ensemble.StartProxy(t, direct),
		t:      t,
		direct: direct,
		root:   fmt.Sprintf("/test-%d", roots.Add(1)),
		admin:  plainClient(t, direct),
	}
	f.create("", "")
	return f
}

// plainClient connects with go-zookeeper alone, and waits for its session.
func plainClient(t testing.TB, servers ...string) *zk.Conn {
	t.Helper()
	zc, events, err := zk.Connect(servers, patience, zk.WithLogger(discard{}), zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		zc.Close()
		for range events {
		}
	})
	// A request that waits for the first connection fails when one attempt does, as on a machine that is busy.
	late := time.After(patience)
	for state := zk.StateUnknown; state != zk.StateHasSession; {
		select {
		case event := <-events:
			state = event.State
		case <-late:
			t.Fatalf("no session on %q", servers)
		}
	}
	return zc
}

type discard struct{}

func (discard) Printf(string, ...any) {}

// connect opens a client below the fixture's root, and closes it at the end of the test.
func (f *fixture) connect(opts ...zkstream.Option) *zkstream.Client {
	f.t.Helper()
	return connect(f.t, f.Addr()+f.root, opts...)
}

func connect(t testing.TB, servers string, opts ...zkstream.Option) *zkstream.Client {
	t.Helper()
	opts = append([]zkstream.Option{zkstream.WithSessionTimeout(8 * time.Second), zkstream.WithLogger(testLogger(t))}, opts...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := zkstream.Connect(ctx, servers, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// testLogger logs to the test with -v, and nowhere without.
func testLogger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// The tree, as the plain client sees it, below the fixture's root.

func (f *fixture) create(path, data string) {
	f.t.Helper()
	if _, err := f.admin.Create(f.root+path, []byte(data), 0, zk.WorldACL(zk.PermAll)); err != nil {
		f.t.Fatalf("create %s: %v", path, err)
	}
}

func (f *fixture) set(path, data string) {
	f.t.Helper()
	if _, err := f.admin.Set(f.root+path, []byte(data), -1); err != nil {
		f.t.Fatalf("set %s: %v", path, err)
	}
}

func (f *fixture) get(path string) string {
	f.t.Helper()
	data, _, err := f.admin.Get(f.root + path)
	if err != nil {
		f.t.Fatalf("get %s: %v", path, err)
	}
	return string(data)
}

func (f *fixture) delete(path string) {
	f.t.Helper()
	if err := f.admin.Delete(f.root+path, -1); err != nil {
		f.t.Fatalf("delete %s: %v", path, err)
	}
}

// deleteTogether deletes the nodes in one transaction, so that nobody can create one of them again between two deletes.
func (f *fixture) deleteTogether(paths ...string) {
	f.t.Helper()
	var ops []any
	for _, path := range paths {
		ops = append(ops, &zk.DeleteRequest{Path: f.root + path, Version: -1})
	}
	if _, err := f.admin.Multi(ops...); err != nil {
		f.t.Fatalf("delete %s: %v", paths, err)
	}
}

// owner returns the session that owns the node, and 0 if there is no node.
func (f *fixture) owner(path string) int64 {
	f.t.Helper()
	exists, stat, err := f.admin.Exists(f.root + path)
	if err != nil {
		f.t.Fatalf("exists %s: %v", path, err)
	}
	if !exists {
		return 0
	}
	return stat.EphemeralOwner
}

// word asks the server with a four-letter word.
func (f *fixture) word(word string) string {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.direct)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(word)); err != nil {
		f.t.Fatal(err)
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(out)
}

// watches returns how many sessions watch the content of a node.
func (f *fixture) watches(path string) int {
	f.t.Helper()
	_, sessions, _ := strings.Cut(f.word("wchp"), f.root+path+"\n")
	n := 0
	for line := range strings.SplitSeq(sessions, "\n") {
		if !strings.HasPrefix(line, "\t") {
			break
		}
		n++
	}
	return n
}

// sessionLives asks the server whether it knows a session.
func (f *fixture) sessionLives(id int64) bool {
	f.t.Helper()
	sessions, _, _ := strings.Cut(f.word("dump"), "ephemeral nodes dump")
	sessions, _, _ = strings.Cut(sessions, "Sessions with Ephemerals")
	return strings.Contains(sessions, hex(id))
}

// hex returns a session's ID as servers and this package write it.
func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }

// next receives one snapshot.
func next[T any](t testing.TB, s *zkstream.Stream[T]) T {
	t.Helper()
	select {
	case v, ok := <-s.C():
		if !ok {
			t.Fatalf("stream ended: %v", s.Err())
		}
		return v
	case <-time.After(patience):
		t.Fatal("no snapshot came")
		panic("unreachable")
	}
}

// until receives snapshots up to one that is good.
func until[T any](t testing.TB, s *zkstream.Stream[T], good func(T) bool) T {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case v, ok := <-s.C():
			if !ok {
				t.Fatalf("stream ended: %v", s.Err())
			}
			if good(v) {
				return v
			}
		case <-timeout:
			latest, _ := s.Latest()
			t.Fatalf("the snapshot did not come; the latest is %v", latest)
		}
	}
}

// ended waits for the end of a stream and returns its reason.
func ended[T any](t testing.TB, s *zkstream.Stream[T]) error {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-s.C():
			if !ok {
				return s.Err()
			}
		case <-timeout:
			t.Fatal("stream did not end")
		}
	}
}

// empty fails the test if the stream has a snapshot to receive.
func empty[T any](t testing.TB, s *zkstream.Stream[T], when string) {
	t.Helper()
	select {
	case v, ok := <-s.C():
		if !ok {
			t.Fatalf("stream ended %s: %v", when, s.Err())
		}
		t.Fatalf("snapshot %s: %v", when, v)
	default:
	}
}

func eventually(t testing.TB, what string, good func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !good(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// settled waits until c is connected and has nothing left to read.
func settled(t testing.TB, c *zkstream.Client) {
	t.Helper()
	eventually(t, "the client has settled", func() bool {
		if !zkstream.Connection(c).IsUp() || !zkstream.Connection(c).Idle() {
			return false
		}
		s := c.Stats()
		return s.Data.Stale+s.Data.Failing+s.Children.Stale+s.Children.Failing+s.Presence.Stale+s.Presence.Failing == 0
	})
}

// down waits until c has noticed the loss of its connection.
func down(t testing.TB, c *zkstream.Client) {
	t.Helper()
	eventually(t, "the client is disconnected", func() bool { return !zkstream.Connection(c).IsUp() })
}

// outage runs fn while the client cannot reach its server, then waits until it has settled.
func (f *fixture) outage(c *zkstream.Client, fn func()) {
	f.t.Helper()
	f.Cut()
	down(f.t, c)
	fn()
	f.Heal()
	settled(f.t, c)
}

// expire ends the session of c, and returns when it has settled in the next one.
func expire(t testing.TB, c *zkstream.Client) {
	t.Helper()
	before := zkstream.Connection(c).Generation()
	eventually(t, "the client has a new session", func() bool {
		if zkstream.Connection(c).IsUp() && zkstream.Connection(c).Generation() == before {
			zkstream.Connection(c).Expire() // in vain, if the client takes its session back in between
		}
		return zkstream.Connection(c).Generation() > before
	})
	settled(t, c)
}

// counter is a dialer that counts the requests that pass, by opcode.
type counter struct {
	mu     sync.Mutex
	counts map[int32]int
}

func (c *counter) option() zkstream.Option {
	return zkstream.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, counter: c}, nil
	})
}

type countedConn struct {
	net.Conn
	counter *counter
	begun   bool
	rest    []byte // of what has been written: the beginning of a packet
}

const opPing = 11

func (c *countedConn) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for len(c.rest) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.rest))
		if len(c.rest) < size {
			break
		}
		if c.begun && size >= 12 {
			if op := int32(binary.BigEndian.Uint32(c.rest[8:])); op != opPing {
				c.counter.mu.Lock()
				if c.counter.counts == nil {
					c.counter.counts = map[int32]int{}
				}
				c.counter.counts[op]++
				c.counter.mu.Unlock()
			}
		}
		c.begun = true
		c.rest = c.rest[size:]
	}
	return c.Conn.Write(p)
}

// take returns the counts since the last call, pings left out.
func (c *counter) take() map[int32]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	c.counts = nil
	return counts
}

func sum(counts map[int32]int) (n int) {
	for _, v := range counts {
		n += v
	}
	return n
}

func names(c zkstream.Children) string { return strings.Join(c.Names(), " ") }
