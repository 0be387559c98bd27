package simulation

import (
	"context"
	"log/slog"
	"time"
)

// logger counts what a client logs, takes its time with some lines, and tells the rest with -v.
func (c *simClient) logger() slog.Handler {
	var next slog.Handler = slog.DiscardHandler
	if c.s.verbose {
		next = slog.NewTextHandler(c.s.t.Output(), nil).WithAttrs([]slog.Attr{slog.Int("client", c.id)})
	}
	return logCounter{next, c}
}

type logCounter struct {
	slog.Handler
	client *simClient
}

func (l logCounter) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l logCounter) Handle(ctx context.Context, r slog.Record) error {
	n := l.client.lines.Add(1)
	if l.client.s.has(slowLogs) && l.client.ready.Load() && n%3 == 0 {
		time.Sleep(5 * time.Second)
	}
	if l.Handler.Enabled(ctx, r.Level) {
		return l.Handler.Handle(ctx, r)
	}
	return nil
}

func (l logCounter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logCounter{l.Handler.WithAttrs(attrs), l.client}
}

func (l logCounter) WithGroup(name string) slog.Handler {
	return logCounter{l.Handler.WithGroup(name), l.client}
}
