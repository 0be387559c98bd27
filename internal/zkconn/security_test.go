package zkconn

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// What a hostile server may answer that is within the limit of a reply, and takes the most memory to
// decode: very many very small parts.
func TestTheDearestReplyTakesBoundedMemory(t *testing.T) {
	const limit = 1 << 20
	fill := func(head []byte, part []byte, tail []byte) []byte {
		room := limit - replyHeader - len(head) - len(tail)
		return slices.Concat(head, bytes.Repeat(part, room/len(part)), tail)
	}
	count := func(size int) []byte { return i32(int32((limit - replyHeader - 4 - statSize) / size)) }
	for name, test := range map[string]struct {
		op   int32
		body []byte
		most uint64 // bytes allocated for each byte of the reply
	}{
		"data":           {opGetData, append(str(strings.Repeat("x", limit-replyHeader-4-statSize)), stat(1)...), 4},
		"empty children": {opGetChildren2, fill(count(4), i32(0), stat(1)), 8},
		"short children": {opGetChildren2, fill(count(5), str("x"), stat(1)), 8},
		"access control": {opGetACL, fill(count(12), make([]byte, 12), stat(1)), 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{MaxReply: limit})
				p := f.peer()
				p.accept(session, 10*time.Second)
				c.expect(Up)
				c.works(p)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				v, err := c.ask(p, test.op, test.body)
				runtime.ReadMemStats(&after)
				if err != nil {
					t.Fatal(err)
				}
				runtime.KeepAlive(v)
				n := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(test.body))
				t.Logf("%.1f bytes are allocated for each byte of the reply", n)
				if n > float64(test.most) {
					t.Errorf("a reply of %d bytes makes the client allocate %.1f for each, want %d at most", len(test.body), n, test.most)
				}
			})
		})
	}
}

// A result of a transaction takes go-zookeeper forty times its bytes, so there may be no more results than
// the request has room for operations.
func TestATransactionHasNoMoreResultsThanOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		for _, test := range []struct {
			operations, results int
			good                bool
		}{{1, 1, true}, {500, 500, true}, {1, 1000, false}, {500, 100_000, false}} {
			done := begin(func() error {
				return c.Run(t.Context(), func(zc *zk.Conn) error {
					got, err := zc.Multi(slices.Repeat([]any{&zk.CheckVersionRequest{Path: "/"}}, test.operations)...)
					if err == nil && len(got) != test.results {
						t.Errorf("%d results of %d", len(got), test.results)
					}
					return err
				})
			})
			p.reply(p.expect(opMulti).xid, 1, 0, bytes.Repeat(result(opCheck, 0), test.results), endOfMulti)
			if err := <-done; (err == nil) != test.good || err != nil && !errors.Is(err, errMalformed) {
				t.Errorf("%d results of %d operations: %v", test.results, test.operations, err)
			}
		}
		c.quiet()
		c.works(p)
	})
}

// A server announces the largest frame that is taken, and never sends it.
func TestAnAnnouncedReplyTakesNoMoreThanTheLimit(t *testing.T) {
	const limit = 1 << 20
	for name, op := range map[string]int32{"data": opGetData, "children": opGetChildren2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{MaxReply: limit})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				const rounds = 5
				for range rounds {
					p := f.peer()
					p.accept(session, 10*time.Second)
					c.expect(Up)
					done := begin(func() error {
						return c.Run(t.Context(), func(zc *zk.Conn) (err error) {
							if op == opGetData {
								_, _, err = zc.Get("/x")
							} else {
								_, _, err = zc.Children("/x")
							}
							return err
						})
					})
					r := p.expect(op)
					p.drain()
					p.send(append(i32(limit), reply(r.xid, 1, 0, i32(limit/4-100))[4:]...))
					synctest.Wait()
					p.Close()
					if err := <-done; !Transient(err) {
						t.Errorf("the request ends with %v", err)
					}
					c.expect(Down)
				}
				runtime.ReadMemStats(&after)
				// go-zookeeper takes 1.5 MB for itself and as much for each connection.
				if n := after.TotalAlloc - before.TotalAlloc; n > rounds*(2*limit+4<<20) {
					t.Errorf("%d were allocated", n)
				}
			})
		})
	}
}

// What a server says is not repeated in the log, however wrong it is.
func TestTheLogHasNothingOfWhatServersSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hidden = "hidden"
		var out lockedBuffer
		f := newFake(t)
		c := f.open(Config{MaxReply: 1000, Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		large := strings.Repeat(hidden, 1000)
		for _, body := range [][]byte{append(str(hidden), stat(1)...), str(hidden), append(str(large), stat(1)...), append(i32(1000), hidden...)} {
			_, err := c.ask(p, opGetData, body)
			if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, errMalformed) {
				t.Error(err)
			}
		}
		p.send(reply(77, 1, 0, str(hidden)))
		p.send(event(77, hidden))
		p.drain()
		p.send(reply(xidEvent, -1, 0, append(make([]byte, 8), i32(1000)...), []byte(hidden)))
		c.expect(Down)
		for _, b := range [][]byte{[]byte("HTTP/1.1 400 " + hidden), frame([]byte(hidden + hidden + hidden + hidden)), welcome(0, 0)} {
			p = f.peer()
			p.hello()
			p.send(b)
			p.Close()
		}
		p = f.peer()
		p.hello()
		for _, want := range []string{"too large", "malformed", "dropped what nobody asked for", "a watch event with a path", "connect reply of"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log has no %q, so this test looks at too little:\n%s", want, out.String())
			}
		}
		if strings.Contains(out.String(), hidden) {
			t.Errorf("the log has what the server said:\n%s", out.String())
		}
	})
}
