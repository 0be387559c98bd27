package zkconn

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
)

// ephemeralsOf asks for them as a user of the connection does, and returns what comes.
func ephemeralsOf(ctx context.Context, c *client, prefix string) <-chan Answer {
	done := make(chan Answer, 1)
	go func() {
		var a Answer
		err := c.Run(ctx, func(*zk.Conn) (err error) {
			a.Names, err = c.Ephemerals(ctx, prefix)
			return err
		})
		a.Err = err
		done <- a
	}()
	return done
}

func TestEphemerals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, _ := withTable(t)
		done := ephemeralsOf(t.Context(), c, "/a")
		r := p.expect(opGetEphemerals)
		if !slices.Equal(r.body, str("/a")) {
			t.Errorf("asked for %x", r.body)
		}
		p.reply(r.xid, 7, 0, i32(2), str("/a/b"), str("/a/c"))
		if a := <-done; a.Err != nil || !slices.Equal(a.Names, []string{"/a/b", "/a/c"}) {
			t.Errorf("%q, %v", a.Names, a.Err)
		}

		done = ephemeralsOf(t.Context(), c, "/a")
		p.reply(p.expect(opGetEphemerals).xid, 7, -102)
		if a := <-done; !errors.Is(a.Err, zk.ErrNoAuth) {
			t.Errorf("refused: %v", a.Err)
		}

		done = ephemeralsOf(t.Context(), c, "/a")
		p.reply(p.expect(opGetEphemerals).xid, 7, 0, i32(2), str("/a/b")) // the second is missing
		if a := <-done; !errors.Is(a.Err, errMalformed) {
			t.Errorf("malformed: %v", a.Err)
		}
		c.works(p)

		ctx, cancel := context.WithCancelCause(t.Context())
		done = ephemeralsOf(ctx, c, "/a")
		r = p.expect(opGetEphemerals)
		cause := errors.New("cause")
		cancel(cause)
		if a := <-done; !errors.Is(a.Err, cause) {
			t.Errorf("given up: %v", a.Err)
		}
		p.reply(r.xid, 7, 0, i32(0)) // for nobody
		c.works(p)

		done = ephemeralsOf(t.Context(), c, "/a")
		p.expect(opGetEphemerals)
		p.Close()
		if a := <-done; !errors.Is(a.Err, zk.ErrConnectionClosed) {
			t.Errorf("connection lost: %v", a.Err)
		}
		c.expect(Down)
	})
}
