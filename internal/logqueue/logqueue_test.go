package logqueue

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a log handler that keeps the lines, and blocks while it is told to.
type sink struct {
	mu    sync.Mutex // guards lines
	lines []string
	block chan bool // closed: lines pass
}

func (*sink) Enabled(context.Context, slog.Level) bool { return true }

func (s *sink) Handle(_ context.Context, r slog.Record) error {
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

func (s *sink) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *sink) WithGroup(string) slog.Handler      { return s }

func TestLogLinesKeepTheirOrderAndTooManyAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{block: make(chan bool)}
		var q Queue
		log := q.Logger(slog.New(s))
		log.Info("0")
		synctest.Wait() // it is being handled
		const total = Capacity + 50
		for i := 1; i <= total; i++ {
			log.Info(strconv.Itoa(i))
		}
		q.Flush(time.Second) // in vain
		close(s.block)
		q.Flush(time.Minute)
		for i := range Capacity + 1 {
			if s.lines[i] != strconv.Itoa(i) {
				t.Fatalf("line %d is %q", i, s.lines[i])
			}
		}
		if rest := s.lines[Capacity+1:]; len(rest) != 1 || !strings.HasSuffix(rest[0], "dropped: the handler is slow lines=50") {
			t.Errorf("then come %q", rest)
		}
		log.Info("again")
		if q.Flush(time.Second); s.lines[len(s.lines)-1] != "again" {
			t.Errorf("the last line is %q", s.lines[len(s.lines)-1])
		}
	})
}
