package zkstream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/zkstream/zkstream"
)

func TestGenerateDeliversWhatItsFunctionDelivers(t *testing.T) {
	c := onZktest(t).connect()
	more, enough := make(chan int), errors.New("enough")
	s := zkstream.Generate(t.Context(), c, func(ctx context.Context, deliver func(int)) error {
		for n := range more {
			deliver(n)
		}
		return enough
	})
	more <- 1
	if v := next(t, s); v != 1 {
		t.Errorf("received %d", v)
	}
	more <- 2
	more <- 3
	more <- 4
	until(t, s, func(v int) bool { return v == 4 }) // the newest, and perhaps others before
	close(more)
	if err := ended(t, s); err != enough {
		t.Errorf("the end: %v", err)
	}
	if v, ok := s.Latest(); v != 4 || !ok {
		t.Errorf("the last one: %d, %v", v, ok)
	}
	s = zkstream.Generate(t.Context(), c, func(context.Context, func(int)) error { return nil })
	if err := ended(t, s); err != zkstream.ErrClosed {
		t.Errorf("the end without a reason: %v", err)
	}
}

// However a generated stream ends, its function's context ends with that reason, and what it delivers then goes nowhere.
func TestAGeneratedStreamEndsWithItsContextAndItsClient(t *testing.T) {
	why := errors.New("why")
	for what, end := range map[string]func(s *zkstream.Stream[int], c *zkstream.Client, cancel context.CancelCauseFunc) error{
		"the context": func(_ *zkstream.Stream[int], _ *zkstream.Client, cancel context.CancelCauseFunc) error {
			cancel(why)
			return why
		},
		"Close": func(s *zkstream.Stream[int], _ *zkstream.Client, _ context.CancelCauseFunc) error {
			s.Close()
			return zkstream.ErrClosed
		},
		"the client": func(_ *zkstream.Stream[int], c *zkstream.Client, _ context.CancelCauseFunc) error {
			c.Close()
			return zkstream.ErrClosed
		},
	} {
		c := onZktest(t).connect()
		ctx, cancel := context.WithCancelCause(t.Context())
		returned := make(chan error, 1)
		s := zkstream.Generate(ctx, c, func(ctx context.Context, deliver func(int)) error {
			deliver(1)
			<-ctx.Done()
			deliver(2)
			returned <- context.Cause(ctx)
			return errors.New("another reason")
		})
		next(t, s)
		want := end(s, c, cancel)
		if got := <-returned; got != want {
			t.Errorf("%s: the function's context ended with %v", what, got)
		}
		if err := ended(t, s); err != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		cancel(why)
		again := zkstream.Generate(ctx, c, func(context.Context, func(int)) error { t.Error("called"); return nil })
		if again.Err() == nil {
			t.Errorf("%s: a stream is opened afterwards", what)
		}
	}
	if err := zkstream.Generate(t.Context(), nil, func(context.Context, func(int)) error { return nil }).Err(); err == nil {
		t.Error("without a client: no error")
	}
}
