package zkstream_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// logSink is a log handler that keeps the lines, and blocks while it is told to.
type logSink struct {
	mu    sync.Mutex // guards lines
	lines []string
	block chan bool // closed: lines pass
}

func (*logSink) Enabled(context.Context, slog.Level) bool { return true }

func (s *logSink) Handle(_ context.Context, r slog.Record) error {
	<-s.block
	var line strings.Builder
	line.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(" " + a.String())
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line.String())
	return nil
}

func (s *logSink) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *logSink) WithGroup(string) slog.Handler      { return s }

func TestALogHandlerThatBlocksHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		blocked := &logSink{block: make(chan bool)}
		c, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial), zkstream.WithLogger(slog.New(blocked)), zkstream.WithSessionTimeout(4*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		state := func(want zkstream.SessionState) {
			t.Helper()
			synctest.Wait()
			if s, _ := c.Session(t.Context()).Latest(); s.State != want {
				t.Errorf("the session is %v, want %v", s.State, want)
			}
		}
		reg, err := c.Register(t.Context(), "/service", "10.0.0.1:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		state(zkstream.Connected)
		server.Partition(true)
		time.Sleep(3 * time.Second)
		state(zkstream.Suspended)
		time.Sleep(10 * time.Second)
		state(zkstream.Expired)
		server.Partition(false)
		time.Sleep(6 * time.Second)
		state(zkstream.Connected)
		if s, _ := reg.Status(t.Context()).Latest(); s != zkstream.Registered {
			t.Errorf("the registration is %v", s)
		}
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) > zkstream.LogGrace {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		close(blocked.block)
		synctest.Wait()
		if i := slices.IndexFunc(blocked.lines, func(l string) bool { return strings.HasPrefix(l, "zkstream: session expired") }); i < 0 {
			t.Errorf("the lines came to nothing: %q", blocked.lines)
		}
	})
}

func TestCloseHandsOverTheLastLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		s := &logSink{block: make(chan bool)}
		c, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial), zkstream.WithLogger(slog.New(s)))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(zkstream.LogGrace/2, func() { close(s.block) })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if i := slices.IndexFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, "zkstream: connected") }); i < 0 {
			t.Errorf("the lines are %q", s.lines)
		}
	})
}
