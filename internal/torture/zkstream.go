package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
)

// zkstreamLib is this repository's library, through its public API. What it logs goes to the standard error.
type zkstreamLib struct {
	client *zkstream.Client

	mu            sync.Mutex // guards what follows
	streams       int
	withdrawals   int
	registrations map[string]*zkstreamRegistration
}

// zkstreamRegistration is a registration, or the attempt to get one.
type zkstreamRegistration struct {
	cancel context.CancelFunc
	handle *zkstream.Registration // nil before there is one
}

func openZkstream(servers string, timeout time.Duration) (library, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := zkstream.Connect(ctx, servers, zkstream.WithSessionTimeout(timeout), zkstream.WithLogger(log))
	if err != nil {
		return nil, err
	}
	// Ends when the client closes, which nobody waits for: the process ends then.
	go func() {
		for s := range client.Session(context.Background()).All() {
			say("session %v", s.State)
		}
	}()
	return &zkstreamLib{client: client, registrations: map[string]*zkstreamRegistration{}}, nil
}

func (z *zkstreamLib) close() { _ = z.client.Close() }

// data uses the two kinds of stream in turn that deliver a node's content. They end when the client closes.
func (z *zkstreamLib) data(id, path string) {
	z.mu.Lock()
	z.streams++
	odd := z.streams%2 == 1
	z.mu.Unlock()
	if odd {
		go follow("data", id, z.client.Data(context.Background(), path), func(d zkstream.Data) {
			sayData(id, d.Stat().Czxid, d.Stat().Mzxid, d.String())
		})
		return
	}
	go follow("data", id, z.client.Properties(context.Background(), path).Stream, func(p zkstream.Properties) {
		sayData(id, p.Stat().Czxid, p.Stat().Mzxid, string(p.Bytes()))
	})
}

// children ends when the client closes.
func (z *zkstreamLib) children(id, path string) {
	go follow("children", id, z.client.Children(context.Background(), path), func(c zkstream.Children) {
		sayChildren(id, c.Stat().Czxid, c.Stat().Pzxid, c.Names())
	})
}

// follow tells of a stream until it ends.
func follow[T interface{ Exists() bool }](verb, id string, s *zkstream.Stream[T], tell func(T)) {
	for v := range s.All() {
		if v.Exists() {
			tell(v)
		} else {
			sayMissing(verb, id)
		}
	}
	say("end %s %v", id, s.Err())
}

// register keeps a registration until it is withdrawn.
func (z *zkstreamLib) register(id, path, addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &zkstreamRegistration{cancel: cancel}
	z.mu.Lock()
	z.registrations[id] = r
	z.mu.Unlock()
	// Ends when the registration does.
	go func() {
		defer cancel()
		handle, err := z.client.Register(ctx, path, addr, nil)
		if err == nil {
			say("registered %s", id)
			z.mu.Lock()
			r.handle = handle
			z.mu.Unlock()
			<-handle.Done()
			err = handle.Err()
		}
		if ctx.Err() == nil && !errors.Is(err, zkstream.ErrClosed) {
			sayFailed(id, err)
			return
		}
		say("withdrawn %s", id)
	}()
}

// withdraw uses the two ways to withdraw in turn.
func (z *zkstreamLib) withdraw(id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	r := z.registrations[id]
	if r == nil {
		return
	}
	delete(z.registrations, id)
	z.withdrawals++
	if z.withdrawals%2 == 0 || r.handle == nil {
		r.cancel()
		return
	}
	// Ends after two session timeouts at the latest; the registration's end is told by register.
	go func() {
		if err := r.handle.Close(); err != nil {
			log.Printf("withdraw %s: %v", id, err)
		}
	}()
}

func (z *zkstreamLib) update(ctx context.Context, id, path, key, value string) {
	if err := z.client.UpdateProperties(ctx, path, map[string]any{key: value}); err != nil {
		sayFailed(id, err)
		return
	}
	say("updated %s", id)
}
