package zkconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// outcome is what Read has returned.
type outcome struct {
	Answer
	err error
}

// readOf reads as a user of the connection does, and returns what comes.
func readOf(ctx context.Context, c *client, k Kind) <-chan outcome {
	done := make(chan outcome, 1)
	go func() { // ends with the answer, or when the test closes the Conn
		a, err := c.Read(ctx, k, "/a")
		done <- outcome{a, err}
	}()
	return done
}

func TestARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, _ := withTable(t)
		done := readOf(t.Context(), c, Data)
		r := p.expect(opGetData)
		if !slices.Equal(r.body, slices.Concat(str("/a"), []byte{0})) {
			t.Errorf("asked for %x", r.body)
		}
		p.reply(r.xid, 7, 0, str("x"), stat(7))
		if a := <-done; a.err != nil || !a.Exists || string(a.Data) != "x" || a.Stat.Mzxid != 7 || a.Zxid != 7 {
			t.Errorf("content: %+v", a)
		}

		done = readOf(t.Context(), c, Children)
		p.reply(p.expect(opGetChildren2).xid, 7, 0, i32(2), str("b"), str("c"), stat(7))
		if a := <-done; a.err != nil || !a.Exists || !slices.Equal(a.Names, []string{"b", "c"}) {
			t.Errorf("children: %+v", a)
		}

		done = readOf(t.Context(), c, Data)
		p.reply(p.expect(opGetData).xid, 7, -101)
		if a := <-done; a.err != nil || a.Exists {
			t.Errorf("missing: %+v", a)
		}

		done = readOf(t.Context(), c, Data)
		p.reply(p.expect(opGetData).xid, 7, -102)
		if a := <-done; !errors.Is(a.err, zk.ErrNoAuth) {
			t.Errorf("refused: %+v", a)
		}

		done = readOf(t.Context(), c, Data)
		p.reply(p.expect(opGetData).xid, 7, 0, i32(5), []byte("x"))
		if a := <-done; !errors.Is(a.err, errMalformed) {
			t.Errorf("malformed: %+v", a)
		}
		c.works(p)

		ctx, cancel := context.WithCancelCause(t.Context())
		done = readOf(ctx, c, Data)
		r = p.expect(opGetData)
		cause := errors.New("cause")
		cancel(cause)
		if a := <-done; !errors.Is(a.err, cause) {
			t.Errorf("given up: %v", a.err)
		}
		p.reply(r.xid, 7, 0, str("x"), stat(7)) // for nobody
		c.works(p)

		done = readOf(t.Context(), c, Data)
		p.expect(opGetData)
		p.Close()
		if a := <-done; !errors.Is(a.err, zk.ErrConnectionClosed) {
			t.Errorf("connection lost: %v", a.err)
		}
		c.expect(Down)
		done = readOf(t.Context(), c, Data) // waits for the session
		p = f.peer()
		p.accept(session, 10*time.Second)
		p.reply(p.expect(opGetData).xid, 8, 0, str("y"), stat(8))
		if a := <-done; a.err != nil || string(a.Data) != "y" {
			t.Errorf("after that: %+v", a)
		}
	})
}

// inANewSession returns a client whose first session has expired, and the server of the next.
func inANewSession(t *testing.T) (*client, *peer) {
	t.Helper()
	f, c, p, _ := withTable(t)
	p.Close()
	c.expect(Down)
	f.peer().accept(0, 0)
	c.expect(Expired)
	p = f.peer()
	p.accept(session+1, 10*time.Second)
	c.expect(Up)
	return c, p
}

// The server of a new session may lag behind what the client has seen in the one before.
func TestAReadInANewSessionFollowsASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := inANewSession(t)

		done := readOf(t.Context(), c, Data)
		sync, read := p.expect(opSync), p.expect(opGetData)
		p.reply(sync.xid, 1, -4)
		p.reply(read.xid, 1, 0, str("old"), stat(1))
		if a := <-done; !Transient(a.err) {
			t.Errorf("behind a sync that has failed: %v, %q", a.err, a.Data)
		}

		done = readOf(t.Context(), c, Data)
		read = p.expect(opGetData)
		sync = p.expect(opSync)
		p.reply(read.xid, 1, 0, str("old"), stat(1))
		if a := <-done; !Transient(a.err) {
			t.Errorf("before the next sync: %v, %q", a.err, a.Data)
		}
		p.reply(sync.xid, 2, 0, str("/"))
		synctest.Wait()

		done = readOf(t.Context(), c, Data)
		p.reply(p.expect(opGetData).xid, 2, 0, str("new"), stat(2))
		if a := <-done; a.err != nil || string(a.Data) != "new" {
			t.Errorf("behind a sync: %+v", a)
		}
	})
}

// many is what ReadMany has returned.
type many struct {
	answers []Answer
	err     error
}

func readManyOf(ctx context.Context, c *client, k Kind, paths ...string) <-chan many {
	done := make(chan many, 1)
	go func() { // ends with the answers, or when the test closes the Conn
		answers, err := c.ReadMany(ctx, k, paths)
		done <- many{answers, err}
	}()
	return done
}

func TestManyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, _ := withTable(t)
		done := readManyOf(t.Context(), c, Data, "/a", "/none", "/closed")
		r := p.expect(opMultiRead)
		if bytes.Contains(r.body, append(str("/a"), 1)) {
			t.Errorf("asked for %x, with a watch", r.body)
		}
		p.reply(r.xid, 7, 0, result(opGetData, 0, str("x"), stat(7)), result(opError, 0, i32(-101)), result(opError, 0, i32(-102)), endOfMulti)
		a := <-done
		if a.err != nil || len(a.answers) != 3 {
			t.Fatalf("%d answers, %v", len(a.answers), a.err)
		}
		if x := a.answers[0]; !x.Exists || x.Data != "x" || x.Stat.Mzxid != 7 || x.Zxid != 7 || x.Err != nil {
			t.Errorf("content: %+v", x)
		}
		if x := a.answers[1]; x.Exists || x.Err != nil {
			t.Errorf("missing: %+v", x)
		}
		if x := a.answers[2]; !errors.Is(x.Err, zk.ErrNoAuth) {
			t.Errorf("refused: %+v", x)
		}

		done = readManyOf(t.Context(), c, Children, "/a")
		p.reply(p.expect(opMultiRead).xid, 8, 0, result(opGetData, 0, str("x"), stat(8)), result(opGetChildren, 0, i32(1), str("b")), endOfMulti)
		if a := <-done; a.err != nil || len(a.answers) != 1 || !slices.Equal(a.answers[0].Names, []string{"b"}) || a.answers[0].Stat.Mzxid != 8 {
			t.Errorf("children: %+v", a)
		}

		// What has not been seen yet may be large: it is asked for bit by bit.
		paths := make([]string, 1000)
		for i := range paths {
			paths[i] = fmt.Sprint("/", i)
		}
		done = readManyOf(t.Context(), c, Data, paths...)
		r = p.expect(opMultiRead)
		n := bytes.Count(r.body, []byte("/"))
		if n < 10 || n > maxBatch {
			t.Errorf("asked for %d nodes at once", n)
		}
		var body []byte
		for range n {
			body = append(body, slices.Concat(result(opGetData, 0, str(strings.Repeat("x", 30<<10)), stat(9)))...)
		}
		p.reply(r.xid, 9, 0, body, endOfMulti)
		if a := <-done; a.err != nil || len(a.answers) != n {
			t.Errorf("%d answers, %v, asked for %d", len(a.answers), a.err, n)
		}
		done = readManyOf(t.Context(), c, Data, paths...)
		r = p.expect(opMultiRead)
		if fewer := bytes.Count(r.body, []byte("/")); fewer >= n {
			t.Errorf("asked for %d large nodes, after %d", fewer, n)
		}
		p.Close()
		if a := <-done; !errors.Is(a.err, zk.ErrConnectionClosed) {
			t.Errorf("connection lost: %v", a.err)
		}
	})
}

func TestManyReadsOfAServerThatDoesNotKnowThem(t *testing.T) {
	for name, answer := range map[string]struct {
		code int32
		body []byte
	}{
		"unimplemented": {-6, nil}, "empty": {0, nil}, "another operation": {0, result(99, 0)}, "too short": {0, result(opGetData, 0, i32(100))},
		"ends early": {0, slices.Concat(result(opGetData, 0, str("x"), stat(7)), endOfMulti)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c, p, _ := withTable(t)
				done := readManyOf(t.Context(), c, Data, "/a", "/b")
				p.reply(p.expect(opMultiRead).xid, 7, answer.code, answer.body)
				if a := <-done; !Transient(a.err) {
					t.Fatal(a.err)
				}
				done = readManyOf(t.Context(), c, Data, "/a", "/b")
				first, second := p.expect(opGetData), p.expect(opGetData)
				p.reply(first.xid, 8, 0, str("a"), stat(8))
				p.reply(second.xid, 8, -102)
				if a := <-done; a.err != nil || len(a.answers) != 2 || a.answers[0].Data != "a" || !errors.Is(a.answers[1].Err, zk.ErrNoAuth) {
					t.Errorf("one by one: %+v", a)
				}
				done = readManyOf(t.Context(), c, Data, "/a", "/b")
				first, second = p.expect(opGetData), p.expect(opGetData)
				p.reply(first.xid, 8, 0, str("a"), stat(8))
				p.reply(second.xid, 8, -127)
				if a := <-done; !Transient(a.err) {
					t.Errorf("throttled: %+v", a)
				}
				c.works(p)
			})
		})
	}
}

func TestManyReadsInANewSessionFollowASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := inANewSession(t)

		old := slices.Concat(result(opGetData, 0, str("old"), stat(1)), endOfMulti)
		done := readManyOf(t.Context(), c, Data, "/a")
		sync, read := p.expect(opSync), p.expect(opMultiRead)
		p.reply(sync.xid, 1, -4)
		p.reply(read.xid, 1, 0, old)
		if a := <-done; !Transient(a.err) {
			t.Errorf("behind a sync that has failed: %+v", a)
		}
	})
}
