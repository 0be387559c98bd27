package zkgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/test/bufconn"
)

var zooKeeper ensemble.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(zooKeeper.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "something is left:", err)
		code = 1
	}
	os.Exit(code)
}

// A world is a ZooKeeper and a network of gRPC servers, in a bubble of virtual time.
type world struct {
	t      *testing.T
	zk     *zktest.Server
	client *zkstream.Client // that of the resolvers

	mu        sync.Mutex
	listeners map[string]*bufconn.Listener // by address
	dials     atomic.Int64                 // to gRPC servers
}

// inBubble runs a test in a world.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, zk: zktest.Start(t), listeners: map[string]*bufconn.Listener{}}
		w.client = w.connect()
		test(t, w)
	})
}

// connect opens a client, which is closed at the end of the test.
func (w *world) connect() *zkstream.Client {
	w.t.Helper()
	c, err := zkstream.Connect(w.t.Context(), "zktest", zkstream.WithDialer(w.zk.Dial))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return c
}

// builder returns one that is closed at the end of the test.
func (w *world) builder(opts ...zkgrpc.Option) *zkgrpc.Builder {
	b := zkgrpc.NewBuilder(w.client, opts...)
	w.t.Cleanup(b.Close)
	return b
}

// dial returns a ClientConn of the target in this network, which is closed at the end of the test.
func (w *world) dial(b resolver.Builder, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	w.t.Helper()
	cc, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithResolvers(b), insecureCredentials, grpc.WithContextDialer(w.dialServer),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cc.Close() })
	return cc
}

func (w *world) dialServer(ctx context.Context, addr string) (net.Conn, error) {
	w.dials.Add(1)
	w.mu.Lock()
	l := w.listeners[addr]
	w.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens on %s", addr)
	}
	return l.DialContext(ctx)
}

// A provider answers health checks with its address, in the trailer.
type provider struct {
	grpc_health_v1.UnimplementedHealthServer
	addr string
}

func (p *provider) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, grpc.SetTrailer(ctx, addrTrailer(p.addr))
}

// serve starts a gRPC server at addr, until the end of the test or stop.
func (w *world) serve(addr string) (stop func()) {
	l := bufconn.Listen(1 << 16)
	w.mu.Lock()
	w.listeners[addr] = l
	w.mu.Unlock()
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, &provider{addr: addr})
	var done sync.WaitGroup
	done.Go(func() { s.Serve(l) })
	stop = sync.OnceFunc(func() {
		w.mu.Lock()
		delete(w.listeners, addr)
		w.mu.Unlock()
		s.Stop()
		done.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

var insecureCredentials = grpc.WithTransportCredentials(insecure.NewCredentials())

const roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// create makes a node with zktest's own hand.
func (w *world) create(path, content string) {
	w.t.Helper()
	if err := w.zk.Create(path, []byte(content)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := w.zk.Delete(path); err != nil {
		w.t.Fatal(err)
	}
}

// call returns the address of the server that has answered.
func (w *world) call(cc *grpc.ClientConn, opts ...grpc.CallOption) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return call(ctx, cc, opts...)
}
