package zkgrpc

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/zkstream/zkstream/discovery"
	"google.golang.org/grpc/resolver"
)

// A view is what is known of a service.
type view struct {
	state *resolver.State // the last good list of servers; nil if there has been none
	err   error           // why there is no newer one; nil if it is the newest
}

// sameEndpoints reports whether gRPC need not learn of a difference.
func sameEndpoints(a, b []discovery.Endpoint) bool {
	return slices.EqualFunc(a, b, func(a, b discovery.Endpoint) bool { return reflect.DeepEqual(a, b) })
}

// whyNone is the error of a service without usable endpoints.
func whyNone(e discovery.Endpoints) error {
	nodes, undecoded := 0, 0
	var first error
	for range e.All() {
		nodes++
	}
	for _, err := range e.Errors() {
		if undecoded++; first == nil {
			first = err
		}
	}
	switch {
	case !e.Exists():
		return fmt.Errorf("zkgrpc: there is no service at %s: the node does not exist", e.Path())
	case first != nil:
		return fmt.Errorf("zkgrpc: none of the %d servers of %s can be used: %w", nodes+undecoded, e.Path(), first)
	case nodes > 0:
		return fmt.Errorf("zkgrpc: none of the %d servers of %s is up, and has a weight", nodes, e.Path())
	}
	return fmt.Errorf("zkgrpc: there are no servers at %s", e.Path())
}
