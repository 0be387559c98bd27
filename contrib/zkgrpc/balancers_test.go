package zkgrpc_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	_ "google.golang.org/grpc/balancer/ringhash"
)

// policies are balancers of gRPC, and one that is built on its package base.
var policies = []string{"pick_first", "round_robin", "ring_hash_experimental", "zkgrpc_test_heaviest"}

func init() {
	balancer.Register(base.NewBalancerBuilder("zkgrpc_test_heaviest", heaviest{}, base.Config{}))
}

// heaviest picks the server with the greatest weight, which it reads from the addresses.
type heaviest struct{}

func (heaviest) Build(info base.PickerBuildInfo) balancer.Picker {
	var best balancer.PickResult
	most := 0
	for conn, about := range info.ReadySCs {
		//lint:ignore SA1019 It is what a balancer of this kind reads.
		if e, ok := zkgrpc.FromAttributes(about.Address.BalancerAttributes); ok && e.Weight > most {
			best.SubConn, most = conn, e.Weight
		}
	}
	if most == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	return fixed{best}
}

type fixed struct{ result balancer.PickResult }

func (f fixed) Pick(balancer.PickInfo) (balancer.PickResult, error) { return f.result, nil }

func withPolicy(name string) grpc.DialOption {
	config := "{}"
	if name == "ring_hash_experimental" {
		config = `{"requestHashHeader":"key"}`
	}
	return grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:%s}]}`, name, config))
}

// Under each policy: all servers go from the list, with ZooKeeper's data perhaps, and calls go on; new ones are used.
func TestNoPolicyEverSeesAnEmptyList(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				stop := []func(){w.serve(addr(1)), w.serve(addr(2))}
				w.create("/s", "")
				w.create("/s/"+addr(1), `{"weight":1}`)
				w.create("/s/"+addr(2), `{"weight":2}`)
				b := w.builder()
				cc := w.dial(b, "zk:///s", withPolicy(policy))
				calls := func(cc *grpc.ClientConn, when string) []string {
					by := map[string]int{}
					for i := range 100 {
						got, err := w.call(cc, grpc.WaitForReady(i == 0))
						if err != nil {
							t.Fatalf("%s: %v", when, err)
						}
						by[got]++
					}
					all := []string{}
					for a := range by {
						all = append(all, a)
					}
					slices.Sort(all)
					return all
				}
				calls(cc, "at first")
				synctest.Wait()
				want := map[string][]string{
					"pick_first": {addr(1)}, "round_robin": {addr(1), addr(2)},
					"ring_hash_experimental": {addr(1), addr(2)}, "zkgrpc_test_heaviest": {addr(2)},
				}[policy]
				if got := calls(cc, "with both"); !slices.Equal(got, want) {
					t.Errorf("answered by %v, not %v", got, want)
				}
				w.remove("/s/" + addr(1))
				w.remove("/s/" + addr(2))
				w.remove("/s")
				synctest.Wait()
				calls(cc, "with an empty list")
				time.Sleep(31 * time.Minute)
				calls(cc, "with an empty list, after an idle time")

				w.serve(addr(3))
				w.create("/s", "")
				w.create("/s/"+addr(3), `{"weight":1}`)
				synctest.Wait()
				stop[0]()
				stop[1]()
				if got := calls(cc, "with a new list"); !slices.Equal(got, []string{addr(3)}) {
					t.Errorf("the new list is not used: %v", got)
				}
			})
		})
	}
}

func TestAllowEmptyEndsTheConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		cc := w.dial(w.builder(zkgrpc.AllowEmpty()), "zk:///s", grpc.WithDefaultServiceConfig(roundRobin))
		expectAnswer(t, w, cc, addr(1))
		w.remove("/s/" + addr(1))
		synctest.Wait()
		expectUnavailable(t, w, cc, 0, "no children to pick from")
	})
}

// A changed property is no reason for a new connection.
func TestAChangedPropertyKeepsTheConnection(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.serve(addr(1))
				w.create("/s", "")
				w.create("/s/"+addr(1), `{"weight":1}`)
				cc := w.dial(w.builder(), "zk:///s", withPolicy(policy))
				expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
				before := w.dials.Load()
				for i := range 5 {
					if err := w.zk.Set("/s/"+addr(1), fmt.Appendf(nil, `{"weight":%d}`, i+2)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					expectAnswer(t, w, cc, addr(1))
				}
				if n := w.dials.Load() - before; n != 0 {
					t.Errorf("%d new connections", n)
				}
			})
		})
	}
}
