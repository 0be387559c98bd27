package zkgrpc

import (
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/zkstream/zkstream/discovery"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"
)

// usable returns the endpoints that are to get calls, sorted by address, each address once: of several nodes of one
// address the one counts that sorts last, which is the youngest if the server has numbered them.
func usable(endpoints discovery.Endpoints) []discovery.Endpoint {
	var all []discovery.Endpoint
	for e := range endpoints.All() {
		if e.Status == discovery.Up && e.Weight > 0 && e.Addr != "" {
			all = append(all, e)
		}
	}
	slices.Reverse(all) // CompactFunc keeps the first
	slices.SortStableFunc(all, func(a, b discovery.Endpoint) int { return strings.Compare(a.Addr, b.Addr) })
	return slices.CompactFunc(all, func(a, b discovery.Endpoint) bool { return a.Addr == b.Addr })
}

// stateOf returns what gRPC is to know of the endpoints.
//
// They are there twice: most balancers read Endpoints, and those that are built on gRPC's package base read Addresses. What
// is said about an endpoint is not among the attributes of its address, for there it would belong to the connection: a
// changed property would end the connection and open another.
func stateOf(endpoints []discovery.Endpoint) *resolver.State {
	state := &resolver.State{
		Addresses: make([]resolver.Address, len(endpoints)), // not nil: an empty list is given as one
		Endpoints: make([]resolver.Endpoint, len(endpoints)),
	}
	for i, e := range endpoints {
		at := resolver.Endpoint{
			Addresses:  []resolver.Address{{Addr: e.Addr}},
			Attributes: attributes.New(attributeKey{}, attribute{e}),
		}
		at = weight.Set(at, weight.EndpointInfo{Weight: uint32(min(int64(e.Weight), math.MaxUint32))})
		state.Endpoints[i] = at
		//lint:ignore SA1019 Balancers that read Addresses find an address's attributes nowhere else.
		state.Addresses[i] = resolver.Address{Addr: e.Addr, BalancerAttributes: at.Attributes}
	}
	return state
}

// attribute is an endpoint as gRPC carries it.
type attribute struct{ discovery.Endpoint }

type attributeKey struct{}

// Equal is called by gRPC to find out whether a balancer is to learn of a change.
func (a attribute) Equal(other any) bool {
	b, ok := other.(attribute)
	return ok && reflect.DeepEqual(a, b) // which ends soon if the node has not been decoded anew: its maps are the same
}

func (a attribute) String() string { return a.Name }

// FromAttributes returns the endpoint that a resolver of this package has put into the attributes: of a
// resolver.Endpoint, or for balancers built on gRPC's package base, the BalancerAttributes of a resolver.Address. It is for
// balancers that choose by what the node says, its zone for example. What the endpoint refers to must not be
// changed.
func FromAttributes(a *attributes.Attributes) (discovery.Endpoint, bool) {
	e, ok := a.Value(attributeKey{}).(attribute)
	return e.Endpoint, ok
}
