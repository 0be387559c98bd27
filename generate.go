package zkstream

import (
	"context"
	"errors"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Generate returns a stream of what run delivers. It is for sources that the operators cannot express, such as one that
// finds out on the way which nodes it depends on, and for tests of what consumes a stream.
//
// run is called in a goroutine of its own. Its deliver takes the place of what has not been received yet, and never blocks.
// The stream ends with the error that run returns, or with [ErrClosed] if that is nil. When the stream ends before, by ctx, by
// Close or with the client, the ctx of run ends, and run is to return; [Client.Close] waits for that. What it delivers then
// goes nowhere. run must not call Client.Close.
func Generate[T any](ctx context.Context, c *Client, run func(ctx context.Context, deliver func(T)) error) *Stream[T] {
	switch {
	case c == nil || c.conn == nil:
		return endedStream[T](zkconn.ErrNoConn)
	case ctx == nil:
		return endedStream[T](errors.New("zkstream: generate: the context is nil"))
	case ctx.Err() != nil:
		return endedStream[T](context.Cause(ctx))
	case c.ctx.Err() != nil:
		return endedStream[T](ErrClosed)
	}
	running, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	out := newStream[T](&c.tasks)
	operate(&c.tasks, out, owner{generator(cancel)}, func() error {
		defer stop()
		err := run(running, func(v T) { out.publish(v) })
		if running.Err() != nil { // which is then the reason, whatever run made of it
			return context.Cause(running)
		}
		if err == nil {
			return ErrClosed
		}
		return err
	})
	out.endWith(ctx)
	return out
}

// generator ends the context of what Generate runs.
type generator context.CancelCauseFunc

func (g generator) Close() { g(ErrClosed) }
