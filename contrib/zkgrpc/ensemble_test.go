package zkgrpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"github.com/zkstream/zkstream/internal/ensemble"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// A line is one client's way to ZooKeeper, which can be cut.
type line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errors.New("the line is cut")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.conns = append(l.conns, conn)
		if l.cut {
			conn.Close()
		}
	}
	return conn, err
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for _, conn := range l.conns {
			conn.Close()
		}
		l.conns = nil
	}
}

// A party is a program with a client of its own.
type party struct {
	*line
	client *zkstream.Client
}

func newParty(t *testing.T, servers string) *party {
	t.Helper()
	p := &party{line: &line{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	p.client, err = zkstream.Connect(ctx, servers, zkstream.WithSessionTimeout(2*time.Second), zkstream.WithDialer(p.dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.client.Close() })
	return p
}

// provide runs a server that answers with its address, until the end of the test, and returns its address.
func (p *party) provide(t *testing.T, path string) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, &provider{addr: lis.Addr().String()})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- zkgrpc.Registrar{Client: p.client, Path: path, Drain: -1}.Serve(ctx, server, lis) }()
	t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

// within returns a context for what has to happen.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// waitFor waits until the observer's stream shows that many servers.
func waitFor(t *testing.T, s *zkstream.Stream[zkstream.Children], n int) {
	t.Helper()
	for newest, ok := s.Latest(); !ok || newest.Len() != n; newest, ok = s.Latest() {
		if _, err := s.Next(within(t)); err != nil {
			t.Fatalf("waiting for %d servers: %v", n, err)
		}
	}
}

// expire cuts the parties off until their sessions are over, and heals that.
func expire(t *testing.T, then func(), parties ...*party) {
	t.Helper()
	for _, p := range parties {
		p.set(true)
		defer p.set(false)
	}
	for _, p := range parties {
		s := p.client.Session(within(t))
		for session, err := s.Next(within(t)); session.State != zkstream.Expired; session, err = s.Next(within(t)) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	then()
}

func noMore() {}

// Two providers are called 200 times a second while ZooKeeper's servers are killed and sessions expire. No call fails, not
// even when the sessions of both providers expire at once, so that their list is empty.
func TestNoCallFailsWhileZooKeeperDoes(t *testing.T) {
	servers := ensemble.Start(t, 3)
	const path = "/search/providers"
	resolving, one, two, observer := newParty(t, servers.ConnectString()), newParty(t, servers.ConnectString()),
		newParty(t, servers.ConnectString()), newParty(t, servers.ConnectString())
	nodes := observer.client.Children(t.Context(), path)
	first, second := one.provide(t, path), two.provide(t, path)
	waitFor(t, nodes, 2)

	b := zkgrpc.NewBuilder(resolving.client)
	defer b.Close()
	cc, err := grpc.NewClient("zk://"+path, grpc.WithResolvers(b), insecureCredentials, grpc.WithDefaultServiceConfig(roundRobin))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := call(within(t), cc, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	calls := startLoad(cc, 200)
	time.Sleep(time.Second) // what is measured first is a second of calm

	calls.phase("the leader is killed, and another elected")
	leader, err := servers.Leader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	kill(t, leader)
	if _, err := servers.Leader(within(t)); err != nil {
		t.Fatal(err)
	}
	connected(t, resolving, one, two, observer)

	calls.phase("it is started again")
	restart(t, leader)

	calls.phase("the resolver's own server is killed and started")
	killed := serverOf(t, servers, resolving)
	kill(t, killed)
	connected(t, resolving)
	restart(t, killed)
	connected(t, resolving, one, two, observer)

	calls.phase("the resolver's session expires")
	expire(t, noMore, resolving)
	connected(t, resolving)

	calls.phase("a provider's session expires, and its node goes")
	expire(t, func() { waitFor(t, nodes, 1) }, one)
	waitFor(t, nodes, 2)

	calls.phase("both providers' sessions expire: no node is left")
	expire(t, func() { waitFor(t, nodes, 0) }, one, two)
	waitFor(t, nodes, 2)

	calls.phase("all three servers are killed and started")
	for _, s := range servers.Servers() {
		kill(t, s)
	}
	for _, s := range servers.Servers() {
		if err := s.StartProcess(); err != nil {
			t.Fatal(err)
		}
	}
	if err := servers.WaitServing(within(t)); err != nil {
		t.Fatal(err)
	}
	connected(t, resolving, one, two, observer)

	calls.phase("calm again")
	waitFor(t, nodes, 2)
	time.Sleep(time.Second) // as at first
	for late := time.Now().Add(time.Minute); !calls.answeredBy(first, second); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Error("in the end one provider gets no calls")
			break
		}
	}
	calls.finish(t)
}

func kill(t *testing.T, s *ensemble.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}

func restart(t *testing.T, s *ensemble.Server) {
	t.Helper()
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
}

// connected waits until the parties have sessions on which servers answer.
func connected(t *testing.T, parties ...*party) {
	t.Helper()
	for _, p := range parties {
		if err := p.client.Sync(within(t), "/"); err != nil {
			t.Fatal(err)
		}
	}
}

// serverOf returns the server to which a party is connected.
func serverOf(t *testing.T, servers *ensemble.Ensemble, p *party) *ensemble.Server {
	t.Helper()
	connected(t, p)
	session, err := p.client.Session(within(t)).Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers.Servers() {
		if s.Addr() == session.Server {
			return s
		}
	}
	t.Fatalf("no server is %s", session.Server)
	return nil
}
