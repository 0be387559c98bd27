package zkstream_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/nameserver"
	"github.com/zkstream/zkstream/zktest"
)

// The name server fails while the only server restarts at the address that it had: the session and what is
// registered in it live on.
func TestARegistrationOutlivesAnOutageOfDNS(t *testing.T) {
	for name, mode := range map[string]nameserver.Mode{"fails": nameserver.Fail, "is silent": nameserver.Silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ns nameserver.Server
				ns.Set("zk.test", "10.0.0.1")
				server := zktest.Start(t)
				c, err := zkstream.Connect(t.Context(), "zk.test:2181", zkstream.WithResolver(ns.Resolver()), zkstream.WithDialer(server.Dial), zkstream.WithSessionTimeout(4*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				reg, err := c.Register(t.Context(), "/service", "10.0.0.9:80", nil)
				if err != nil {
					t.Fatal(err)
				}
				id := c.Conn().SessionID()
				time.Sleep(time.Minute)
				ns.SetMode(mode)
				server.Partition(true)
				time.Sleep(600 * time.Millisecond)
				server.Partition(false)
				time.Sleep(4 * time.Second)
				if got := c.Conn().SessionID(); got != id {
					t.Errorf("session %#x, want %#x", got, id)
				}
				if s, _ := reg.Status(t.Context()).Latest(); s != zkstream.Registered {
					t.Errorf("the registration is %v", s)
				}
			})
		})
	}
}

func TestADialerGetsNamesUnlessThereIsAResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", "10.0.0.1")
		server := zktest.Start(t)
		var mu sync.Mutex // guards addrs
		var addrs []string
		dial := zkstream.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			addrs = append(addrs, addr)
			mu.Unlock()
			return server.Dial(ctx, network, addr)
		})
		for _, opts := range [][]zkstream.Option{{dial}, {dial, zkstream.WithResolver(ns.Resolver())}} {
			c, err := zkstream.Connect(t.Context(), "zk.test", opts...)
			if err != nil {
				t.Fatal(err)
			}
			if s, _ := c.Session(t.Context()).Latest(); s.Server != "zk.test:2181" {
				t.Errorf("the server is %q", s.Server)
			}
			c.Close()
		}
		if want := []string{"zk.test:2181", "10.0.0.1:2181"}; !slices.Equal(addrs, want) {
			t.Errorf("dialled %s, want %s", strings.Join(addrs, ", "), strings.Join(want, ", "))
		}
	})
}

func TestADefaultDialerGetsTheAddressesOfAResolver(t *testing.T) {
	onEach(t, testADefaultDialerGetsTheAddressesOfAResolver)
}

func testADefaultDialerGetsTheAddressesOfAResolver(t *testing.T, f *fixture) {
	var ns nameserver.Server
	host, port, err := net.SplitHostPort(f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ns.Set("zk.test", host, "127.0.0.99") // where nobody listens
	for range 5 {
		c := connect(t, "zk.test:"+port+f.root, zkstream.WithResolver(ns.Resolver()))
		if s, _ := c.Session(t.Context()).Latest(); s.Server != "zk.test:"+port {
			t.Errorf("the server is %q", s.Server)
		}
	}
}
