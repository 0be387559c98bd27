// Package logqueue passes log lines to a handler that may block.
package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Capacity is how many lines may wait for a handler that is slow. More are dropped, and counted.
const Capacity = 256

// A Queue passes log lines to the user's handler in a goroutine of its own, in their order. So a handler that blocks holds
// up neither the connection nor Close. A client that waited for it would go on showing a session that has been over for long.
// The zero Queue is empty, and ready to use.
type Queue struct {
	mu      sync.Mutex // guards what follows
	lines   []line
	dropped int
	idle    chan struct{} // closed when run ends; nil: it is not running
}

type line struct {
	ctx     context.Context
	handler slog.Handler
	record  slog.Record
}

// Logger returns a logger that logs to l by the queue.
func (q *Queue) Logger(l *slog.Logger) *slog.Logger {
	return slog.New(queuedHandler{queue: q, next: l.Handler()})
}

// add queues a line. A goroutine is there as long as there is something to log.
func (q *Queue) add(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) >= Capacity {
		q.dropped++
		return
	}
	q.lines = append(q.lines, l)
	if q.idle == nil {
		q.idle = make(chan struct{})
		// Ends when the queue is empty. Close waits for that, but not for a handler that blocks.
		go q.run()
	}
}

func (q *Queue) run() {
	for {
		q.mu.Lock()
		if len(q.lines) == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		lines, dropped := q.lines, q.dropped
		q.lines, q.dropped = nil, 0
		q.mu.Unlock()
		for _, l := range lines {
			// An error of the handler is dropped, as by slog.Logger.
			_ = l.handler.Handle(l.ctx, l.record)
		}
		if dropped > 0 {
			r := slog.NewRecord(time.Now(), slog.LevelWarn, "zkstream: log lines were dropped: the handler is slow", 0)
			r.AddAttrs(slog.Int("lines", dropped))
			last := lines[len(lines)-1]
			_ = last.handler.Handle(last.ctx, r)
		}
	}
}

// Flush returns when all lines have been handled, or after limit.
func (q *Queue) Flush(limit time.Duration) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}

// queuedHandler is a slog.Handler that queues lines for another.
type queuedHandler struct {
	queue *Queue
	next  slog.Handler
}

func (h queuedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h queuedHandler) Handle(ctx context.Context, r slog.Record) error {
	h.queue.add(line{context.WithoutCancel(ctx), h.next, r.Clone()})
	return nil
}

func (h queuedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queuedHandler{h.queue, h.next.WithAttrs(attrs)}
}

func (h queuedHandler) WithGroup(name string) slog.Handler {
	return queuedHandler{h.queue, h.next.WithGroup(name)}
}
