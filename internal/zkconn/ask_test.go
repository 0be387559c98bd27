package zkconn

import (
	"context"
	"errors"
	"slices"
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
		if a := <-done; !errors.Is(a.err, cause) || !Left(a.err) {
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

// The server of a new session may lag behind what the client has seen in the one before.
func TestAReadInANewSessionFollowsASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, _ := withTable(t)
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		p = f.peer()
		p.accept(session+1, 10*time.Second)
		c.expect(Up)

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
