package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
)

const (
	herdSize    = 100
	herdOutage  = 10 * time.Second
	herdTimeout = 10 * time.Second // of the sessions
	herdWindow  = 50 * time.Millisecond
	herdLimit   = 30 * time.Second // for all to be back

	// What zkstream is held to.
	herdMost = 20              // clients that come back in one window
	herdLast = 5 * time.Second // until all are back
)

// returned tells how clients came back after an outage.
type returned struct {
	most int           // in any window
	last time.Duration // after the end of the outage
}

func (r returned) String() string {
	return fmt.Sprintf("all were back after %.1f s, at most %d of them in any %d ms", r.last.Seconds(), r.most, herdWindow.Milliseconds())
}

// joiner opens a client, and calls connected each time that it has got a session, or its old one back. The
// client goes on until it is closed.
type joiner func(ctx context.Context, servers []string, connected func()) (io.Closer, error)

// herd has clients lose all servers at the same instant, and get them back at the same instant.
func herd(ctx context.Context, servers []*ensemble.Server, join joiner) (_ returned, err error) {
	var proxies []*ensemble.Proxy
	var addrs []string
	defer func() {
		for _, p := range proxies {
			err = errors.Join(err, p.Close())
		}
	}()
	for _, s := range servers {
		p, err := ensemble.NewProxy(s.Addr())
		if err != nil {
			return returned{}, err
		}
		proxies, addrs = append(proxies, p), append(addrs, p.Addr())
	}

	var mu sync.Mutex // guards backs
	backs := make([]time.Time, herdSize)
	missing := func() int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, at := range backs {
			if at.IsZero() {
				n++
			}
		}
		return n
	}
	within, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for i := range herdSize {
		client, err := join(within, addrs, func() {
			mu.Lock()
			defer mu.Unlock()
			if backs[i].IsZero() {
				backs[i] = time.Now()
			}
		})
		if err != nil {
			return returned{}, err
		}
		defer client.Close()
	}
	wait := func(limit time.Duration) error {
		for end := time.Now().Add(limit); missing() > 0; {
			if time.Now().After(end) {
				return fmt.Errorf("%d of %d clients are not connected after %v", missing(), herdSize, limit)
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	if err := wait(readyLimit); err != nil {
		return returned{}, err
	}

	each(proxies, (*ensemble.Proxy).Cut)
	if err := pause(ctx, herdOutage); err != nil {
		return returned{}, err
	}
	mu.Lock()
	clear(backs)
	mu.Unlock()
	end := time.Now()
	each(proxies, (*ensemble.Proxy).Heal)
	if err := wait(herdLimit); err != nil {
		return returned{}, err
	}
	return comeback(end, backs), nil
}

// comeback counts how clients came back.
func comeback(end time.Time, backs []time.Time) (r returned) {
	sorted := slices.SortedFunc(slices.Values(backs), time.Time.Compare)
	r.last = sorted[len(sorted)-1].Sub(end)
	for first, i := 0, 0; i < len(sorted); i++ {
		for sorted[i].Sub(sorted[first]) > herdWindow {
			first++
		}
		r.most = max(r.most, i-first+1)
	}
	return r
}

// closer is a client's Close.
type closer func() error

func (c closer) Close() error { return c() }

func joinZkstream(ctx context.Context, servers []string, connected func()) (io.Closer, error) {
	client, err := zkstream.Connect(ctx, strings.Join(servers, ","), zkstream.WithSessionTimeout(herdTimeout))
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	// Ends when the client is closed; Close waits for it.
	go func() {
		defer close(done)
		for s := range client.Session(context.Background()).All() {
			if s.State == zkstream.Connected {
				connected()
			}
		}
	}()
	return closer(func() error {
		err := client.Close()
		<-done
		return err
	}), nil
}

func joinRaw(_ context.Context, servers []string, connected func()) (io.Closer, error) {
	conn, events, err := zk.Connect(servers, herdTimeout, zk.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	// Ends when the connection is closed; Close waits for it.
	go func() {
		defer close(done)
		for event := range events {
			if event.State == zk.StateHasSession {
				connected()
			}
		}
	}()
	return closer(func() error {
		conn.Close()
		<-done
		return nil
	}), nil
}
