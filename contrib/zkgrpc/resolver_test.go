package zkgrpc_test

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"github.com/zkstream/zkstream/discovery"
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"
)

func TestAListIsSortedAndSaidOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		for _, i := range []int{3, 1, 2} {
			w.create("/s/"+addr(i), "")
		}
		r := record(t, w.builder(), "zk:///s")
		synctest.Wait()
		r.expect(t, "[10.0.0.1:80 10.0.0.2:80 10.0.0.3:80]")

		// A change of what gRPC does not look at, and a node that is none, change no list.
		if err := w.zk.Set("/s", []byte("other")); err != nil {
			t.Fatal(err)
		}
		w.create("/s/readme", "")
		synctest.Wait()
		r.expect(t)
		w.remove("/s/" + addr(2))
		synctest.Wait()
		r.expect(t, "[10.0.0.1:80 10.0.0.3:80]")
	})
}

// Gone and back before anybody looked, as in a restart, or when a session has expired.
func TestANodeThatComesBackTheSameIsNoChange(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/"+addr(1), `{"zone":"a"}`)
		w.create("/s/"+addr(2), `{"zone":"b"}`)
		b := w.builder()
		r := record(t, b, "zk:///s")
		synctest.Wait()
		r.take()
		w.zk.Partition(true)
		w.remove("/s/" + addr(1))
		w.create("/s/"+addr(1), `{"zone":"a"}`)
		w.zk.ExpireAll()
		w.zk.Partition(false)
		time.Sleep(time.Minute)
		r.expect(t)

		w.remove("/s/" + addr(2))
		synctest.Wait()
		r.expect(t, "["+addr(1)+"]")
	})
}

func TestBothListsCarryWhatTheNodeSays(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/10.0.0.1:80", `{"weight":3,"zone":"a"}`)
		w.create("/s/10.0.0.2:80", `{"weight":0}`) // is to get no calls
		r := record(t, w.builder(), "zk:///s")
		synctest.Wait()
		state := r.last(t)
		if len(state.Endpoints) != 1 || len(state.Addresses) != 1 {
			t.Fatalf("%+v", state)
		}
		endpoint, address := state.Endpoints[0], state.Addresses[0]
		if n := weight.FromEndpoint(endpoint).Weight; n != 3 {
			t.Errorf("the weight is %d", n)
		}
		if address.Addr != "10.0.0.1:80" || address.Attributes != nil || endpoint.Addresses[0].Attributes != nil || address.ServerName != "" {
			t.Errorf("what belongs to the connection: %+v, %+v", address, endpoint.Addresses[0])
		}
		//lint:ignore SA1019 It is what balancers on package base read.
		for _, a := range []resolver.Endpoint{endpoint, {Attributes: address.BalancerAttributes}} {
			e, ok := zkgrpc.FromAttributes(a.Attributes)
			if !ok || e.Name != "10.0.0.1:80" || e.Attributes["zone"] != "a" {
				t.Errorf("%+v, %t", e, ok)
			}
		}
		if _, ok := zkgrpc.FromAttributes(nil); ok {
			t.Error("something was found in no attributes")
		}

		if err := w.zk.Set("/s/10.0.0.1:80", []byte(`{"weight":3,"zone":"b"}`)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		changed := r.last(t).Endpoints[0]
		if e, _ := zkgrpc.FromAttributes(changed.Attributes); e.Attributes["zone"] != "b" {
			t.Errorf("after a change of the zone: %+v", e)
		}
		if changed.Attributes.Equal(endpoint.Attributes) || !changed.Attributes.Equal(changed.Attributes) {
			t.Error("gRPC cannot see the change")
		}
		if s := endpoint.Attributes.String(); !strings.Contains(s, "10.0.0.1:80") {
			t.Errorf("in gRPC's log: %s", s)
		}
	})
}

func TestEachFormatIsRead(t *testing.T) {
	for _, f := range []discovery.Format{discovery.ZC{}, discovery.Curator{Payload: discovery.SpringPayload}, discovery.Serverset{}, discovery.Nerve{}} {
		t.Run(reflect.TypeOf(f).Name(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				for i := 1; i <= 2; i++ {
					if _, err := discovery.Register(t.Context(), w.client, "/s", f, discovery.Endpoint{Addr: addr(i)}); err != nil {
						t.Fatal(err)
					}
				}
				r := record(t, w.builder(zkgrpc.WithFormat(f)), "zk:///s")
				synctest.Wait()
				r.expect(t, "[10.0.0.1:80 10.0.0.2:80]")
			})
		})
	}
}

// Two members of one address: the server has a new session, and the node of its last one is still there.
func TestAnAddressIsThereOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/member_0000000003", `{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE","metadata":{"v":"old"}}`)
		w.create("/s/member_0000000007", `{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE","metadata":{"v":"new"}}`)
		w.create("/s/member_0000000008", `{"serviceEndpoint":{"host":"a","port":1},"status":"STOPPING","metadata":{"v":"x"}}`)
		r := record(t, w.builder(zkgrpc.WithFormat(discovery.Serverset{})), "zk:///s")
		synctest.Wait()
		r.expect(t, "[a:1]")
		if e, _ := zkgrpc.FromAttributes(r.last(t).Endpoints[0].Attributes); e.Attributes["v"] != "new" {
			t.Errorf("%+v", e)
		}
	})
}

func TestAnEmptyListIsSaidToWhoAllowsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		careful, trusting := record(t, w.builder(), "zk:///s"), record(t, w.builder(zkgrpc.AllowEmpty()), "zk:///s")
		synctest.Wait()
		w.remove("/s/" + addr(1))
		synctest.Wait()
		w.remove("/s")
		synctest.Wait()
		careful.expect(t, "[10.0.0.1:80]", "zkgrpc: there are no servers at /s", "zkgrpc: there is no service at /s")
		trusting.expect(t, "[10.0.0.1:80]", "[]")
		w.create("/s", "")
		synctest.Wait()
		w.create("/s/"+addr(1), "")
		synctest.Wait()
		careful.expect(t, "zkgrpc: there are no servers", "[10.0.0.1:80]") // the error is over
		trusting.expect(t, "[10.0.0.1:80]")
	})
}

func TestWhyNoServerCanBeUsed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/curator", "")
		w.create("/curator/i-1", "")
		w.create("/curator/i-2", `{"address":"a","port":1,"enabled":false}`)
		b := w.builder(zkgrpc.WithFormat(discovery.Curator{}))
		mixed := record(t, b, "zk:///curator")
		synctest.Wait()
		mixed.expect(t, `zkgrpc: none of the 2 servers of /curator can be used: zkstream: decode "/curator/i-1": `)
		w.remove("/curator/i-1")
		synctest.Wait()
		mixed.expect(t, "zkgrpc: none of the 1 servers of /curator is up")
	})
}

func TestANodeThatIsLeftOutIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/readme", "")
		w.create("/s/"+addr(1), "")
		var log strings.Builder
		record(t, w.builder(zkgrpc.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))), "zk:///s")
		synctest.Wait()
		w.create("/s/"+addr(2), "")
		synctest.Wait()
		if n := strings.Count(log.String(), "name=readme"); n != 1 {
			t.Errorf("%d lines of it:\n%s", n, log.String())
		}
	})
}

func TestATargetThatCannotBeMeant(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		b := w.builder()
		for target, want := range map[string]string{
			"zk://zk1:2181/s":   "write zk:///path",
			"zk:///s?format=zc": "have no meaning",
			"zk:///s#1":         "have no meaning",
			"zk://me@/s":        "belongs to the client",
		} {
			_, err := b.Build(targetOf(t, target), &recorder{}, resolver.BuildOptions{})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), target) {
				t.Errorf("%s: %v", target, err)
			}
		}
		r := record(t, b, "zk:///a//b")
		synctest.Wait()
		r.expect(t, "zkgrpc: the servers of /a//b: zkstream: instances")
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		for _, target := range []string{"zk:///s", "zk:///s/", "zk:/s", "zk:s", "zk:///%73"} {
			r := record(t, b, target)
			synctest.Wait()
			r.expect(t, "[10.0.0.1:80]")
		}
		b.Close()
		if _, err := b.Build(targetOf(t, "zk:///s"), &recorder{}, resolver.BuildOptions{}); err == nil {
			t.Error("a closed Builder builds")
		}
		if _, err := zkgrpc.NewBuilder(nil).Build(targetOf(t, "zk:///s"), &recorder{}, resolver.BuildOptions{}); err == nil {
			t.Error("a Builder without a client builds")
		}
	})
}

// In whatever order what belongs together is closed, nothing is left, which goleak sees, and nothing hangs.
func TestTheOrderOfClosing(t *testing.T) {
	for _, order := range []string{"resolver builder client", "client builder resolver", "builder client resolver", "client resolver builder"} {
		t.Run(order, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.create("/s", "")
				w.create("/s/"+addr(1), "")
				b := w.builder()
				r := &recorder{}
				built, err := b.Build(targetOf(t, "zk:///s"), r, resolver.BuildOptions{})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for _, what := range strings.Fields(order) {
					switch what {
					case "resolver":
						built.Close()
					case "builder":
						b.Close()
					case "client":
						w.client.Close()
					}
					synctest.Wait()
				}
				said := r.take()
				if said[0] != "[10.0.0.1:80]" || order == "resolver builder client" && len(said) > 1 || len(said) > 2 {
					t.Errorf("said: %q", said)
				}
			})
		})
	}
}

// A ClientConn that does not come back from UpdateState.
func TestASlowClientConnHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		b := w.builder()
		slow, quick := record(t, b, "zk:///s"), record(t, b, "zk:///s")
		synctest.Wait()
		slow.take()
		quick.take()
		release := make(chan struct{})
		slow.mu.Lock()
		slow.block = release
		slow.mu.Unlock()
		for i := 2; i <= 4; i++ {
			w.create("/s/"+addr(i), "")
			synctest.Wait()
		}
		quick.expect(t, "[10.0.0.1:80 10.0.0.2:80]", "[10.0.0.1:80 10.0.0.2:80 10.0.0.3:80]", "[10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80]")
		slow.expect(t, "[10.0.0.1:80 10.0.0.2:80]")
		close(release)
		synctest.Wait()
		slow.expect(t, "[10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80]")
	})
}

func TestManyClientConnsOfOneServiceAreOneWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const n = 1000
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		b := w.builder()
		first := record(t, b, "zk:///s")
		synctest.Wait()
		first.take()
		before := w.client.Stats()
		all := make([]*recorder, n)
		for i := range all {
			all[i] = record(t, b, "zk:///s")
			all[i].expect(t, "[10.0.0.1:80]") // when Build returns
		}
		if after := w.client.Stats(); after.Requests != before.Requests || after.Streams != before.Streams {
			t.Errorf("before: %+v\nafter: %+v", before, after)
		}
		w.create("/s/"+addr(2), "")
		synctest.Wait()
		for _, r := range all {
			r.expect(t, "[10.0.0.1:80 10.0.0.2:80]")
		}
	})
}

// While it builds and closes resolvers as fast as it can, the list changes.
func TestBuildAndCloseWhileTheListChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		b := w.builder()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var builds sync.WaitGroup
		for n := range 4 {
			builds.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					built, err := b.Build(targetOf(t, "zk:///s"), &recorder{}, resolver.BuildOptions{})
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Duration(1+n*i%7) * 100 * time.Microsecond)
					built.Close()
				}
			})
		}
		for i := 0; ctx.Err() == nil; i++ {
			w.create("/s/"+addr(i%200), "")
			time.Sleep(time.Millisecond)
			w.remove("/s/" + addr(i%200))
		}
		builds.Wait()
	})
}
