package zkgrpc_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"github.com/zkstream/zkstream/discovery"
	"github.com/zkstream/zkstream/zktest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// A served server is one that a Registrar runs.
type served struct {
	listener *countingListener
	stop     context.CancelFunc
	result   chan error
}

// serveRegistered runs a Registrar in the world, with a client of its own unless it has one, until the end of the test.
func (w *world) serveRegistered(r zkgrpc.Registrar, health grpc_health_v1.HealthServer) *served {
	w.t.Helper()
	if r.Client == nil {
		r.Client = w.connect()
	}
	l := bufconn.Listen(1 << 16)
	w.mu.Lock()
	w.listeners[r.Endpoint.Addr] = l
	w.mu.Unlock()
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health)
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{listener: &countingListener{Listener: l}, stop: cancel, result: make(chan error, 1)}
	go func() { s.result <- r.Serve(ctx, server, s.listener); close(s.result) }()
	w.t.Cleanup(func() { cancel(); <-s.result })
	return s
}

func (w *world) registered(path string) []string {
	names, err := w.zk.Children(path)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

func (w *world) expectRegistered(want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.registered("/s"); !slices.Equal(got, want) {
		w.t.Errorf("registered: %v, not %v", got, want)
	}
}

// Calls come all the time while a server is replaced by another. No call fails, and when the old one closes its listener
// no client is left on it.
func TestClientsLeaveBeforeTheServerStops(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		old := w.serveRegistered(zkgrpc.Registrar{Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}, &provider{addr: addr(1)})
		w.expectRegistered(addr(1))
		b := w.builder()
		var conns []*grpc.ClientConn
		for range 10 {
			conns = append(conns, w.dial(b, "zk:///s", grpc.WithDefaultServiceConfig(roundRobin)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls := make(chan int)
		go func() {
			n := 0
			for ; ctx.Err() == nil; n++ {
				if _, err := w.call(conns[n%len(conns)]); err != nil {
					t.Errorf("call %d: %v", n, err)
				}
				time.Sleep(time.Millisecond)
			}
			calls <- n
		}()
		time.Sleep(time.Second)
		w.serveRegistered(zkgrpc.Registrar{Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(2)}}, &provider{addr: addr(2)})
		time.Sleep(time.Second)
		before := time.Now()
		old.stop()
		w.expectRegistered(addr(2))
		if old.listener.closed.Load() {
			t.Error("the listener is closed in the moment of the withdrawal")
		}
		if err := <-old.result; err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != time.Second || old.listener.openAtClose.Load() != 0 {
			t.Errorf("it took %s, and at its end %d clients were left", took, old.listener.openAtClose.Load())
		}
		time.Sleep(time.Second)
		cancel()
		if n := <-calls; n < 2500 {
			t.Errorf("only %d calls", n)
		}
	})
}

// A slowProvider's calls take a while.
type slowProvider struct {
	grpc_health_v1.UnimplementedHealthServer
	takes time.Duration
}

func (p slowProvider) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	select {
	case <-time.After(p.takes):
		return &grpc_health_v1.HealthCheckResponse{}, grpc.SetTrailer(ctx, addrTrailer("slow"))
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func TestCallsUnderWayHaveUntilTheGraceIsOver(t *testing.T) {
	for _, takes := range []time.Duration{5 * time.Second, 50 * time.Second} {
		inBubble(t, func(t *testing.T, w *world) {
			s := w.serveRegistered(zkgrpc.Registrar{Path: "/s", Drain: -1, Endpoint: discovery.Endpoint{Addr: addr(1)}}, slowProvider{takes: takes})
			synctest.Wait()
			cc := w.dial(w.builder(), "zk:///s")
			result := make(chan error, 1)
			go func() { _, err := w.call(cc); result <- err }()
			time.Sleep(time.Second)
			begun := time.Now()
			s.stop()
			if err := <-s.result; err != nil {
				t.Error(err)
			}
			want, code := 4*time.Second, codes.OK
			if takes > 10*time.Second {
				want, code = 10*time.Second, codes.Unavailable
			}
			if err := <-result; status.Code(err) != code || time.Since(begun) != want {
				t.Errorf("a call of %s after %s: %v", takes, time.Since(begun), err)
			}
		})
	}
}

func TestAServerIsRegisteredWhileItIsHealthy(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		healthy := health.NewServer()
		s := w.serveRegistered(zkgrpc.Registrar{Path: "/s", Health: healthy, HealthService: "search", Endpoint: discovery.Endpoint{Addr: addr(1)}}, healthy)
		w.expectRegistered() // its status is not known yet
		for range 3 {
			healthy.SetServingStatus("search", grpc_health_v1.HealthCheckResponse_SERVING)
			w.expectRegistered(addr(1))
			healthy.SetServingStatus("search", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			w.expectRegistered()
		}
		healthy.SetServingStatus("search", grpc_health_v1.HealthCheckResponse_SERVING)
		w.expectRegistered(addr(1))
		s.stop()
		w.expectRegistered()
		if r, err := healthy.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "search"}); err != nil || r.Status != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("while it drains: %v, %v", r, err)
		}
		if err := <-s.result; err != nil {
			t.Error(err)
		}
	})
}

// A registration comes back with the next session, and not after it was withdrawn.
func TestWhatIsWithdrawnDoesNotComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.connect()
		s := w.serveRegistered(zkgrpc.Registrar{Client: c, Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1), Weight: 3}}, &provider{})
		w.expectRegistered(addr(1))
		w.zk.ExpireSession(c.Conn().SessionID())
		time.Sleep(time.Second)
		w.expectRegistered(addr(1))
		if content, _, err := w.zk.Get("/s/" + addr(1)); err != nil || !strings.Contains(string(content), `"weight":3`) {
			t.Errorf("%s, %v", content, err)
		}
		s.stop()
		if err := <-s.result; err != nil {
			t.Error(err)
		}
		w.zk.ExpireSession(c.Conn().SessionID())
		time.Sleep(time.Hour)
		w.expectRegistered()
	})
}

// A restarted server finds its predecessor's node. It leaves it alone, serves, and takes over.
func TestANodeOfAnotherSessionIsLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		predecessor := w.zk.OpenSession(time.Minute)
		if _, err := w.zk.Add(zktest.Node{Path: "/s/" + addr(1), Data: []byte("predecessor"), Session: predecessor}); err != nil {
			t.Fatal(err)
		}
		s := w.serveRegistered(zkgrpc.Registrar{Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}, &provider{addr: addr(1)})
		time.Sleep(time.Second)
		expectAnswer(t, w, w.dial(w.builder(), "zk:///s"), addr(1))
		if content, _, err := w.zk.Get("/s/" + addr(1)); err != nil || string(content) != "predecessor" {
			t.Errorf("%s, %v", content, err)
		}
		time.Sleep(time.Hour)
		if content, _, err := w.zk.Get("/s/" + addr(1)); err != nil || string(content) == "predecessor" {
			t.Errorf("%s, %v", content, err)
		}
		s.stop()
		w.expectRegistered()
	})
}

func TestAServerWithoutZooKeeper(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.connect()
		w.zk.Partition(true)
		s := w.serveRegistered(zkgrpc.Registrar{Client: c, Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}, &provider{addr: addr(1)})
		time.Sleep(time.Minute)
		cc, err := grpc.NewClient("passthrough:///"+addr(1), grpc.WithContextDialer(w.dialServer), insecureCredentials)
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		expectAnswer(t, w, cc, addr(1))
		w.zk.Partition(false)
		time.Sleep(time.Minute)
		w.expectRegistered(addr(1))

		w.zk.Partition(true)
		begun := time.Now()
		s.stop()
		if err := <-s.result; err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		w.zk.Partition(false)
		time.Sleep(time.Minute)
		w.expectRegistered()
	})
}

func TestARegistrationThatIsRefusedStopsTheServer(t *testing.T) {
	for name, broken := range map[string]func(w *world, r *zkgrpc.Registrar){
		"not authenticated": func(w *world, r *zkgrpc.Registrar) {
			w.create("/s", "")
			if err := w.zk.SetACL("/s", forbidden); err != nil {
				w.t.Fatal(err)
			}
		},
		"address \"0.0.0.0:80\"": func(w *world, r *zkgrpc.Registrar) { r.Endpoint.Addr = "0.0.0.0:80" },
		"no place for attributes": func(w *world, r *zkgrpc.Registrar) {
			r.Format, r.Endpoint.Attributes = discovery.Curator{}, map[string]string{"a": "b"}
		},
		zkstream.ErrClosed.Error(): func(w *world, r *zkgrpc.Registrar) { r.Client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := zkgrpc.Registrar{Client: w.connect(), Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}
				broken(w, &r)
				s := w.serveRegistered(r, &provider{})
				err := <-s.result
				if err == nil || !strings.Contains(err.Error(), name) || !s.listener.closed.Load() {
					t.Errorf("%v; closed: %t", err, s.listener.closed.Load())
				}
			})
		})
	}
}

func TestAClientThatIsClosedWhileTheServerServes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.connect()
		s := w.serveRegistered(zkgrpc.Registrar{Client: c, Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}, &provider{})
		w.expectRegistered(addr(1))
		c.Close()
		if err := <-s.result; err == nil || !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
}

func TestAListenersOwnAddressIsRegistered(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for at, want := range map[string]func() []string{
			"10.1.2.3:80": func() []string { return []string{"10.1.2.3:80"} },
			"0.0.0.0:80": func() []string {
				all, err := zkstream.Advertise("0.0.0.0:80")
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(all)
				return all
			},
		} {
			a, err := net.ResolveTCPAddr("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				result <- zkgrpc.Registrar{Client: w.client, Path: "/s", Drain: -1}.Serve(ctx, grpc.NewServer(), named{bufconn.Listen(1), *a})
			}()
			w.expectRegistered(want()...)
			cancel()
			if err := <-result; err != nil {
				t.Error(err)
			}
			w.expectRegistered()
		}
	})
}

func TestAServerIsNotRegisteredBeforeItAccepts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		l := lateListener{bufconn.Listen(1), make(chan struct{})}
		r := zkgrpc.Registrar{Client: w.client, Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}
		result := make(chan error, 1)
		go func() { result <- r.Serve(ctx, grpc.NewServer(), l) }()
		time.Sleep(time.Minute)
		w.expectRegistered()
		close(l.release)
		w.expectRegistered(addr(1))
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestAServerThatHasBeenStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		server := grpc.NewServer()
		server.Stop()
		r := zkgrpc.Registrar{Client: w.client, Path: "/s", Endpoint: discovery.Endpoint{Addr: addr(1)}}
		if err := r.Serve(t.Context(), server, bufconn.Listen(1)); err == nil {
			t.Error("no error")
		}
		server = grpc.NewServer()
		result := make(chan error, 1)
		go func() { result <- r.Serve(t.Context(), server, bufconn.Listen(1)) }()
		w.expectRegistered(addr(1))
		server.GracefulStop() // by somebody else
		if err := <-result; err != nil {
			t.Error(err)
		}
		w.expectRegistered()
		if err := (zkgrpc.Registrar{}).Serve(t.Context(), server, bufconn.Listen(1)); err == nil {
			t.Error("a Registrar without a client serves")
		}
	})
}
