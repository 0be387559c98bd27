// Package ensemble starts real ZooKeeper servers on the loopback interface for
// tests and benchmarks, and breaks them: a server can be killed, frozen,
// restarted with or without its data, and put behind a [Proxy] that cuts, holds
// or delays its connections.
//
// ZooKeeper itself is not part of this module: [Find] says where it is looked
// for, and which of several is taken. A test that calls [Start] is skipped where it is missing, or fails when
// the environment variable ZKSTREAM_REQUIRE_ZOOKEEPER is not empty.
//
// On Linux no server outlives the program that started it: the kernel kills the
// servers when that program ends in any way, SIGKILL included. Elsewhere only
// [Ensemble.Close] ends them. Close also removes their data, which a program that
// is killed leaves in the system's folder for temporary files.
//
// All methods may be called from several goroutines.
package ensemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// startTimeout bounds the start of an ensemble in Start. A server answers in
	// less than a second on an idle machine.
	startTimeout = 2 * time.Minute

	// startAttempts is how often New tries again where a port was taken between
	// being chosen and being used.
	startAttempts = 3

	// requireVariable turns the skip of tests without ZooKeeper into a failure.
	requireVariable = "ZKSTREAM_REQUIRE_ZOOKEEPER"
)

// Options says how servers are configured. The zero value is good for tests.
type Options struct {
	// TickTime is ZooKeeper's tickTime, in whole milliseconds. The shortest
	// session timeout is 2 ticks, the longest 20 unless MaxSessionTimeout says
	// otherwise. 0 means 200 ms.
	TickTime time.Duration

	// MaxSessionTimeout is the longest session timeout that a client can get, in
	// whole milliseconds. 0 means 20 ticks.
	MaxSessionTimeout time.Duration

	// Config has further lines of zoo.cfg. A key replaces the default line of
	// that key.
	Config map[string]string

	// Java has further flags of the Java machine, such as -Xmx1g or -Dname=value.
	// They come after the default flags, so they win.
	Java []string

	// TLS has each server serve TLS, too, on a port of its own: see Server.TLSAddr.
	// nil means plain TCP only.
	TLS *TLS

	// PeerLinks puts a Proxy between each two servers, for Ensemble.PeerLinks.
	PeerLinks bool

	// Log receives what all servers write to their standard output and error, one
	// Write at a time. nil means that it goes only to a file beside the data of
	// each server. The last lines of that file are put into errors either way.
	Log io.Writer
}

// Ensemble is a group of ZooKeeper servers, or one standalone server.
type Ensemble struct {
	dir     string
	servers []*Server
	links   []peerLink

	closeOnce sync.Once
	closeErr  error
}

// Need skips t where this machine has no ZooKeeper, and fails it where the environment variable
// ZKSTREAM_REQUIRE_ZOOKEEPER says that there must be one.
func Need(t testing.TB) {
	t.Helper()
	release, err := Find()
	if err == nil {
		t.Logf("ZooKeeper %s", release.Version)
		return
	}
	if os.Getenv(requireVariable) != "" {
		t.Fatalf("ensemble: %v", err)
	}
	t.Skipf("ensemble: %v", err)
}

// Start starts n servers for a test and waits until all of them serve clients: 1
// is a standalone server, 3 an ensemble with a leader. They are closed when the
// test and its subtests have ended. Where ZooKeeper or Java is missing the test
// is skipped, or fails if ZKSTREAM_REQUIRE_ZOOKEEPER is not empty. At most one
// Options may be given.
func Start(t testing.TB, n int, opts ...Options) *Ensemble {
	t.Helper()
	if len(opts) > 1 {
		t.Fatalf("ensemble: %d Options given, at most one is allowed", len(opts))
	}
	Need(t)
	var o Options
	if len(opts) == 1 {
		o = opts[0]
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	e, err := New(ctx, n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the ensemble: %v", err)
		}
	})
	return e
}

// New starts n servers, as Start does, for programs and TestMain. ctx bounds the
// wait for the servers only. The caller must call Close.
func New(ctx context.Context, n int, opts Options) (*Ensemble, error) {
	return newEnsemble(ctx, n, opts, reservePort)
}

// newEnsemble is New with a way to choose ports, which a test replaces.
func newEnsemble(ctx context.Context, n int, opts Options, reserve reserver) (*Ensemble, error) {
	if n < 1 {
		return nil, fmt.Errorf("ensemble: %d servers asked for, at least 1 is needed", n)
	}
	release, err := Find()
	if err != nil {
		return nil, fmt.Errorf("ensemble: %w", err)
	}
	java, err := findJava()
	if err != nil {
		return nil, fmt.Errorf("ensemble: %w", err)
	}
	if opts.Log != nil {
		opts.Log = &lockedWriter{w: opts.Log}
	}
	for attempt := 1; ; attempt++ {
		e, err := startAll(ctx, n, opts, java, release.Classpath, reserve)
		if err == nil {
			return e, nil
		}
		if attempt == startAttempts || !portTaken(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("ensemble: start: %w", err)
		}
	}
}

// startAll makes one attempt at starting an ensemble. On failure nothing of it
// remains.
func startAll(ctx context.Context, n int, opts Options, java, classpath string, reserve reserver) (_ *Ensemble, err error) {
	dir, err := os.MkdirTemp("", "ensemble")
	if err != nil {
		return nil, err
	}
	e := &Ensemble{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	for id := 1; id <= n; id++ {
		s, err := newServer(id, filepath.Join(dir, fmt.Sprintf("server%d", id)), opts.TLS != nil, reserve)
		if err != nil {
			return nil, err
		}
		e.servers = append(e.servers, s)
	}
	if opts.PeerLinks {
		if err := e.linkPeers(); err != nil {
			return nil, err
		}
	}
	for _, s := range e.servers {
		if err := s.configure(opts, java, classpath, e.servers); err != nil {
			return nil, err
		}
	}
	for _, s := range e.servers {
		if err := s.StartProcess(); err != nil {
			return nil, err
		}
	}
	if err := e.waitServing(ctx, true); err != nil {
		return nil, err
	}
	return e, nil
}

// Servers returns all servers, dead ones too, in the order of their server IDs.
func (e *Ensemble) Servers() []*Server { return slices.Clone(e.servers) }

// ConnectString returns the addresses of all servers, separated by commas, as
// ZooKeeper clients take them.
func (e *Ensemble) ConnectString() string {
	addrs := make([]string, len(e.servers))
	for i, s := range e.servers {
		addrs[i] = s.Addr()
	}
	return strings.Join(addrs, ",")
}

// Close kills all servers, frozen ones too, waits for them to end and removes
// their data. Calls after the first do nothing and return the same error. A nil
// Ensemble is closed.
func (e *Ensemble) Close() error {
	if e == nil {
		return nil
	}
	e.closeOnce.Do(func() {
		var errs []error
		for _, s := range e.servers {
			errs = append(errs, s.close())
		}
		errs = append(errs, e.closeLinks(), os.RemoveAll(e.dir))
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}

// lockedWriter passes one Write at a time on, because several servers share it.
type lockedWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
