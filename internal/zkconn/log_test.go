package zkconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestLinesOfGoZookeeperGetALevel(t *testing.T) {
	for _, test := range []struct {
		level  slog.Level
		want   string
		format string // as in go-zookeeper's conn.go
		args   []any
	}{
		{slog.LevelDebug, "connected to server:2181", "connected to %s", []any{"server:2181"}},
		{slog.LevelDebug, "failed to connect to server:2181: refused", "failed to connect to %s: %v", []any{"server:2181", errors.New("refused")}},
		{slog.LevelDebug, "session established: id=1, timeout=2", "authenticated: id=%d, timeout=%d", []any{1, 2}},
		{slog.LevelDebug, "handshake failed: zk: session has been expired by the server", "authentication failed: %s", []any{zk.ErrSessionExpired}},
		{slog.LevelDebug, "handshake failed: EOF", "authentication failed: %s", []any{errors.New("EOF")}},
		{slog.LevelInfo, "connection ended: EOF", "recv loop terminated: %v", []any{errors.New("EOF")}},
		{slog.LevelWarn, "error in resending auth creds: zk: client authentication failed", "error in resending auth creds: %v", []any{zk.ErrAuthFailed}},
		{slog.LevelWarn, "Failed to set previous watches: zk: connection closed", "Failed to set previous watches: %v", []any{zk.ErrConnectionClosed}},
		{slog.LevelWarn, "Xid < 0 (-3) but not ping or watcher event", "Xid < 0 (%d) but not ping or watcher event", []any{-3}},
		{slog.LevelWarn, "gave up trying to send opClose to server", "gave up trying to send opClose to server", nil},
		{slog.LevelWarn, "a line of a later version", "a line of a later version", nil},
		{slog.LevelDebug, "send loop terminated: <nil>", "send loop terminated: %v", []any{nil}},
		{slog.LevelDebug, "re-submitting `2` credentials after reconnect", "re-submitting `%d` credentials after reconnect", []any{2}},
		{slog.LevelDebug, "recv closed, cancel re-submitting credentials", "recv closed, cancel re-submitting credentials", nil},
		{slog.LevelDebug, "should quit, cancel re-submitting credentials", "should quit, cancel re-submitting credentials", nil},
		{slog.LevelDebug, "Response for unknown request with xid 7", "Response for unknown request with xid %d", []any{7}},
	} {
		for _, min := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
			var out bytes.Buffer
			handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: min})
			zkLogger{slog.New(handler)}.Printf(test.format, test.args...)
			var want []string
			if test.level >= min {
				want = []string{"level=" + test.level.String(), fmt.Sprintf("msg=%q", test.want), "source=go-zookeeper"}
			}
			if len(want) == 0 && out.Len() > 0 {
				t.Errorf("%q is logged at a level that is off: %s", test.want, out.String())
			}
			for _, part := range want {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is logged as %q, want %s in it", test.want, out.String(), part)
				}
			}
		}
	}
}

// An outage is the first failure of each kind, summaries with growing intervals, and the end.
func TestAnOutageIsAFewLines(t *testing.T) {
	// authenticate serves a connection up to the answer to a credential.
	authenticate := func(p *peer, code int32) {
		p.read()
		p.Write(welcome(session, 10*time.Second))
		p.read()
		p.Write(reply(xidAuth, 0, code))
	}
	for name, test := range map[string]struct {
		serve func(*peer) // nil: refuse the connection
		first string      // failure
	}{
		"refused":              {nil, "connection refused"},
		"closed":               {func(p *peer) { p.read(); p.Close() }, "closed the connection during the handshake"},
		"hung":                 {func(p *peer) { p.drain() }, "no answer to the handshake within"},
		"refused a credential": {func(p *peer) { authenticate(p, -115); p.Close() }, "refused the credential"},
		"authentication enforced": {func(p *peer) {
			authenticate(p, 0)
			p.read() // a ping
			p.Write(reply(xidPing, 0, codeAuthRequired))
			p.Close()
		}, "requires authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out lockedBuffer
				f := newFake(t)
				servers := []string{"a:1", "b:2", "c:3"}
				f.serve(func(p *peer) { p.serve(session, 10*time.Second, nil) })
				c := f.open(Config{
					Servers: servers,
					Auth:    []Auth{{"digest", []byte("user:password")}},
					Logger:  slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})),
				})
				c.expect(Up)
				time.Sleep(5 * time.Second)
				if out.String() != "" {
					t.Errorf("logged while all is well: %s", out.String())
				}
				f.refuse(test.serve == nil, servers...)
				f.serve(test.serve)
				f.mu.Lock()
				for _, p := range f.peers {
					p.Close()
				}
				f.mu.Unlock()
				time.Sleep(time.Hour)
				f.refuse(false, servers...)
				f.serve(func(p *peer) { p.serve(session, 10*time.Second, nil) })
				time.Sleep(time.Minute)
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				count := func(part string) (n int) {
					for _, l := range lines {
						if strings.Contains(l, part) {
							n++
						}
					}
					return n
				}
				if n := count(`msg="zkstream: no session"`); n == 0 || n > 2 || count(test.first) < 2 { // in a summary, too
					t.Errorf("%d failures are logged, want one, of %q:\n%s", n, test.first, out.String())
				}
				// After 10 s, and then 20, 40 ... 640 s after the one before, then every 10 minutes.
				if n := count(`msg="zkstream: still no session"`); n < 8 || n > 13 {
					t.Errorf("%d summaries:\n%s", n, out.String())
				}
				if n := count(`msg="zkstream: there is a session again"`); n != 1 {
					t.Errorf("%d lines tell of the end:\n%s", n, out.String())
				}
				if name != "authentication enforced" && len(lines) > 18 {
					t.Errorf("%d lines for an hour:\n%s", len(lines), out.String())
				}
			})
		})
	}
}

// lockedBuffer is a buffer that goroutines may share.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAQuietLifeLogsNothingAboveInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		f := newFake(t)
		f.serve(func(p *peer) { p.serve(session, 10*time.Second, nil) })
		c := f.open(Config{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		c.expect(Up)
		time.Sleep(minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if out.String() != "" {
			t.Errorf("logged: %s", out.String())
		}
	})
}

func TestTheLogHasNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		f := newFake(t)
		c := f.open(Config{
			Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Auth:   []Auth{{"digest", []byte("user:hidden")}},
		})
		p := f.peer()
		p.accept(session, 10*time.Second)
		p.reply(p.expect(opAuth).xid, 0, -115)
		p.Close()
		c.expect(AuthFailed)
		p = f.peer()
		p.accept(session, 10*time.Second)
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
		for _, secret := range []string{"hidden", strings.Repeat("p", 16)} { // the session's password too
			if strings.Contains(out.String(), secret) {
				t.Errorf("%q is in the log: %s", secret, out.String())
			}
		}
		if !strings.Contains(out.String(), "the server refused the credential") {
			t.Errorf("the refusal is not in the log: %s", out.String())
		}
	})
}

// A handler may ask the connection how it is.
func TestALogHandlerMayUseTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *client
		var lines []string
		var mu sync.Mutex // guards lines
		handler := handlerFunc(func(line string) {
			if c != nil {
				c.SessionID()
				c.Failures()
			}
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		})
		f := newFake(t)
		f.refuse(true, "server:2181")
		opened := f.open(Config{MaxReply: 1000, Timeout: 2 * time.Second, Logger: slog.New(handler)})
		synctest.Wait()
		c = opened // while it sleeps before the next dial
		f.refuse(false, "server:2181")
		p := f.peer()
		p.accept(session, 2*time.Second)
		c.expect(Up)
		c.watch(p, "/a", 7)
		if _, err := c.ask(p, opGetData, make([]byte, 1000)); !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
		if _, err := c.ask(p, opGetData, nil); !errors.Is(err, errMalformed) {
			t.Error(err)
		}
		p.Close()
		c.expect(Down)
		h := hello{zxid: 7}
		for without := 0; without < 3; { // which it leaves out in the end, and says so once
			p = f.peer()
			if h = p.hello(); h.zxid == 0 {
				without++
			}
			if without < 3 {
				p.Close()
			}
		}
		p.send(welcome(session+1, time.Second)) // replaced
		p.Close()
		c.expect(Expired)
		mu.Lock()
		defer mu.Unlock()
		for _, want := range []string{"too large", "malformed", "keep closing the handshake", "replaced the session"} {
			if n := strings.Count(strings.Join(lines, "\n"), want); n != 1 {
				t.Errorf("%d lines have %q: %q", n, want, lines)
			}
		}
	})
}

// handlerFunc is a slog.Handler that gets the message of each line.
type handlerFunc func(string)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }

func (h handlerFunc) Handle(_ context.Context, r slog.Record) error {
	h(r.Message)
	return nil
}

func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h handlerFunc) WithGroup(string) slog.Handler { return h }
