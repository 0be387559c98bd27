package zkgrpc_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/resolver"
)

// A recorder is a ClientConn that writes down what its resolver says.
type recorder struct {
	resolver.ClientConn

	mu     sync.Mutex
	states []resolver.State
	said   []string // the addresses of each state, and each error
	block  chan struct{}
}

func (r *recorder) UpdateState(s resolver.State) error {
	r.mu.Lock()
	r.states = append(r.states, s)
	var addrs []string
	for _, e := range s.Endpoints {
		addrs = append(addrs, e.Addresses[0].Addr)
	}
	r.said = append(r.said, "["+strings.Join(addrs, " ")+"]")
	block := r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	return nil
}

func (r *recorder) ReportError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, err.Error())
}

// take returns what was said since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said = nil
	return said
}

// last returns the newest state.
func (r *recorder) last(t *testing.T) resolver.State {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.states) == 0 {
		t.Fatal("there has been no state")
	}
	return r.states[len(r.states)-1]
}

// expect compares what was said since the last call with what begins so.
func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	got := r.take()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("said:\n%s\nnot:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func targetOf(t *testing.T, target string) resolver.Target {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return resolver.Target{URL: *u}
}

// record builds a resolver of the target, which is closed at the end of the test.
func record(t *testing.T, b resolver.Builder, target string) *recorder {
	t.Helper()
	r := &recorder{}
	built, err := b.Build(targetOf(t, target), r, resolver.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(built.Close)
	return r
}

func addr(i int) string { return fmt.Sprintf("10.0.0.%d:80", i) }
