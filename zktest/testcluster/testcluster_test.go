package testcluster

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	zk.DefaultLogger = quiet{}
	goleak.VerifyTestMain(m)
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func start(t *testing.T, size int, stdout io.Writer) *TestCluster {
	t.Helper()
	ts, err := StartTestCluster(size, stdout, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ts.Stop(); err != nil {
			t.Error(err)
		}
	})
	return ts
}

// hold closes the connection in the end, and gives a function that waits for a state.
func hold(t *testing.T, conn *zk.Conn, events <-chan zk.Event, err error) (await func(zk.State)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events {
		}
	})
	return func(want zk.State) {
		t.Helper()
		timeout := time.After(20 * time.Second)
		for {
			select {
			case ev := <-events:
				if ev.State == want {
					return
				}
			case <-timeout:
				t.Fatalf("no %v", want)
			}
		}
	}
}

func TestACallersTestRunsAsWithGoZooKeepersCluster(t *testing.T) {
	var log lockedBuffer
	ts := start(t, 3, &log)
	conn, events, err := ts.ConnectWithOptions(8*time.Second, zk.WithLogInfo(false), zk.WithMaxBufferSize(1<<20))
	await := hold(t, conn, events, err)
	await(zk.StateHasSession)
	if _, err := conn.CreateTTL("/ttl", nil, zk.FlagTTL, zk.WorldACL(zk.PermAll), time.Hour); err != nil {
		t.Error(err)
	}
	for _, s := range ts.Servers {
		if ok := zk.FLWRuok([]string{fmt.Sprintf("127.0.0.1:%d", s.Port)}, 5*time.Second); !ok[0] {
			t.Errorf("the server on port %d is not ok", s.Port)
		}
	}
	// The server that the client is connected to goes; the session moves to another.
	id := conn.SessionID()
	ts.StopServer(conn.Server())
	await(zk.StateDisconnected)
	await(zk.StateHasSession)
	if conn.SessionID() != id {
		t.Errorf("session %x became %x", id, conn.SessionID())
	}
	ts.StopAllServers()
	await(zk.StateDisconnected)
	ts.StartAllServers()
	await(zk.StateHasSession)
	if ok, _, err := conn.Exists("/ttl"); !ok || err != nil {
		t.Errorf("the data are gone: %v", err)
	}
	ts.Ensemble.ExpireSession(conn.SessionID())
	await(zk.StateExpired)
	if log.Len() == 0 {
		t.Error("nothing in the log")
	}
}

func TestConnectReachesOneServer(t *testing.T) {
	ts := start(t, 2, nil)
	for i := range ts.Servers {
		conn, events, err := ts.Connect(i)
		await := hold(t, conn, events, err)
		await(zk.StateHasSession)
		if want := fmt.Sprintf("127.0.0.1:%d", ts.Servers[i].Port); conn.Server() != want {
			t.Errorf("connected to %s, not %s", conn.Server(), want)
		}
	}
	conn, events, err := ts.ConnectAll()
	hold(t, conn, events, err)(zk.StateHasSession)
	ts.StopServer(fmt.Sprint("anything:", ts.Servers[1].Port))
	ts.StartServer(fmt.Sprint("anything:", ts.Servers[1].Port))
	defer func() {
		if recover() == nil {
			t.Error("no panic for a server that is none of them")
		}
	}()
	ts.StopServer("127.0.0.1:1")
}

func TestAClusterOfNoServersIsRefused(t *testing.T) {
	if _, err := StartTestCluster(0, nil, nil); err == nil {
		t.Error("no error")
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}
