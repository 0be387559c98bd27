package zkstream_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// The first snapshot of a stream is never older than what its own client has written: each row writes while an older answer
// is about, and then opens a second stream.

// slow has the requests of some kinds take a second.
func slow(server *zktest.Server, ops ...zktest.Op) {
	server.Intercept(func(r zktest.Request) zktest.Fault {
		for _, op := range ops {
			if r.Op == op {
				return zktest.Fault{Delay: time.Second}
			}
		}
		return zktest.Fault{}
	})
}

// A batch is read, the write follows it, and only then the watches are set.
func TestASecondStreamHasTheWriteThatABatchHasNot(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for i := range 8 {
			path := fmt.Sprint("/n", i)
			plant(t, server, path)
			c.Data(t.Context(), path)
		}
		synctest.Wait()
		first := c.Data(t.Context(), "/n7")
		same(t, "the first stream", next(t, first).String(), "/n7")
		asked, setting := make(chan struct{}, 1), make(chan struct{}, 100)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			switch r.Op {
			case zktest.OpMultiRead:
				asked <- struct{}{}
				return zktest.Fault{Delay: time.Second}
			case zktest.OpSetWatches:
				setting <- struct{}{}
				return zktest.Fault{Delay: time.Second}
			}
			return zktest.Fault{}
		})
		server.ExpireAll() // so that all are read again, by a batch
		<-asked
		if _, err := c.Write(t.Context(), "/n7", []byte("new"), zkstream.AnyVersion); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(setting) == 0 || c.Stats().Data.Stale == 0 {
			t.Fatal("the write was not between the batch and the watches")
		}
		same(t, "the second stream", next(t, c.Data(t.Context(), "/n7")).String(), "new")
		same(t, "the first stream", next(t, first).String(), "new")
	})
}

func TestASecondTreeHasTheClientsOwnWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/c")
		first := c.Tree(t.Context(), "/a")
		same(t, "the tree", lines(next(t, first)), "/a=/a /a/b=/a/b /a/c=/a/c")
		time.Sleep(time.Minute)
		slow(server, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpMultiRead)

		if _, err := c.Write(t.Context(), "/a/b", []byte("new"), zkstream.AnyVersion); err != nil {
			t.Fatal(err)
		}
		same(t, "the second tree", lines(next(t, c.Tree(t.Context(), "/a"))), "/a=/a /a/b=new /a/c=/a/c")

		if _, err := c.CreateNode(t.Context(), "/a/c/d", []byte("d")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateNode(t.Context(), "/a/c/d/e", []byte("e")); err != nil {
			t.Fatal(err)
		}
		third, fourth := c.Tree(t.Context(), "/a"), c.Tree(t.Context(), "/a")
		want := "/a=/a /a/b=new /a/c=/a/c /a/c/d=d /a/c/d/e=e"
		same(t, "the third tree", lines(next(t, third)), want)
		same(t, "the fourth tree", lines(next(t, fourth)), want)
		until(t, first, func(t zkstream.Tree) bool { return lines(t) == want })
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, s := range []*zkstream.Stream[zkstream.Tree]{first, third, fourth} {
			empty(t, s, "without a change")
		}

		if err := c.DeleteNode(t.Context(), "/a/b", zkstream.AnyVersion); err != nil {
			t.Fatal(err)
		}
		same(t, "the fifth tree", lines(next(t, c.Tree(t.Context(), "/a"))), "/a=/a /a/c=/a/c /a/c/d=d /a/c/d/e=e")
	})
}

// A stream that waits for its first snapshot comes to it while others go on writing.
func TestASecondTreeWaitsForNoMoreThanItMust(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/c")
		first := c.Tree(t.Context(), "/a")
		next(t, first)
		time.Sleep(time.Minute)
		slow(server, zktest.OpGetData)
		if _, err := c.Write(t.Context(), "/a/b", []byte("mine"), zkstream.AnyVersion); err != nil {
			t.Fatal(err)
		}
		second := c.Tree(t.Context(), "/a")
		for i := range 10 {
			if err := server.Set("/a/c", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		d, ok := second.Latest()
		if b, _ := d.Get("/a/b"); !ok || b.String() != "mine" {
			t.Errorf("the second tree is %s after three seconds", newest(second))
		}
		if newest(first) != newest(second) {
			t.Errorf("the first is %s, the second %s", newest(first), newest(second))
		}
	})
}

// Nor does it keep others from theirs.
func TestATreeGoesOnWhileASecondOneWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/c")
		first := c.Tree(t.Context(), "/a")
		next(t, first)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			// A node is read alone or in a batch, as it happens to be asked for.
			var delay time.Duration
			for _, op := range append(r.Multi, r) {
				switch {
				case op.Path == "/a/b/x" && op.Op == zktest.OpGetData:
					delay = 3 * time.Second
				case op.Path == "/a/b" && (op.Op == zktest.OpGetChildren2 || op.Op == zktest.OpGetChildren):
					delay = max(delay, time.Second)
				}
			}
			return zktest.Fault{Delay: delay}
		})
		if _, err := c.CreateNode(t.Context(), "/a/b/x", []byte("x")); err != nil {
			t.Fatal(err)
		}
		second := c.Tree(t.Context(), "/a")
		if err := server.Set("/a/c", []byte("new")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the children of /a/b are listed, and /a/c is read, but the new child is not
		same(t, "the first tree", newest(first), "/a=/a /a/b=/a/b /a/c=new")
		same(t, "the second tree", newest(second), "nothing")
		time.Sleep(5 * time.Second)
		same(t, "the second tree", newest(second), "/a=/a /a/b=/a/b /a/b/x=x /a/c=new")
		same(t, "the first tree", newest(first), newest(second))
	})
}
