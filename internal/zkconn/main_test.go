package zkconn

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/zkstream/zkstream/internal/ensemble"
	"go.uber.org/goleak"
)

// One real server serves all tests that leave it alone. It is started by the first.
var shared struct {
	once sync.Once
	e    *ensemble.Ensemble
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.e != nil {
		shared.e.Close()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

func realServer(t testing.TB) *ensemble.Server {
	t.Helper()
	shared.once.Do(func() {
		if _, shared.err = ensemble.Find(); shared.err == nil {
			shared.e, shared.err = ensemble.New(context.Background(), 1, ensemble.Options{})
		}
	})
	if shared.err != nil {
		if os.Getenv("ZKSTREAM_REQUIRE_ZOOKEEPER") != "" {
			t.Fatal(shared.err)
		}
		t.Skip("no real ZooKeeper: ", shared.err)
	}
	return shared.e.Servers()[0]
}
