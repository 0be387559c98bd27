package ensemble

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"
)

// patience bounds waits for things that must happen. It is long because the
// machine may be busy; no test waits for it to pass.
const patience = time.Minute

// childVariable makes the test binary a program that starts a server, tells its
// process ID and then ends as the variable's value says.
const childVariable = "ENSEMBLE_TEST_CHILD"

func TestMain(m *testing.M) {
	if end := os.Getenv(childVariable); end != "" {
		child(end)
		return
	}
	goleak.VerifyTestMain(m)
}

func child(end string) {
	e, err := New(context.Background(), 1, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(e.Servers()[0].PID())
	switch end {
	case "panic":
		// Not before the parent has read the process ID and closed its end.
		_, _ = io.Copy(io.Discard, os.Stdin)
		panic("as asked for")
	case "exit":
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	default:
		select {} // until killed
	}
}

// within returns a context that ends after patience.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// client connects to ZooKeeper and waits for the session.
func client(t *testing.T, addrs ...string) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect(addrs, 4*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // closed when the goroutines of the Conn have ended
		}
	})
	ctx := within(t)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return conn
			}
		case <-ctx.Done():
			t.Fatal("no session")
		}
	}
}

func create(t *testing.T, conn *zk.Conn, path, data string) {
	t.Helper()
	if _, err := conn.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

func wantData(t *testing.T, conn *zk.Conn, path, want string) {
	t.Helper()
	got, _, err := conn.Get(path)
	if err != nil || string(got) != want {
		t.Fatalf("get %s: %q, %v; want %q", path, got, err, want)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
