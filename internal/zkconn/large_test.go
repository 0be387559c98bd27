package zkconn

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// Requests that are too large, one after the other, end each connection soon. Each of them has kept the session alive, so the
// pauses must not grow beyond what that allows.
func TestPausesDoNotCostASessionThatShortConnectionsKeepAlive(t *testing.T) {
	const timeout = 4 * time.Second
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		p.Close()
		c.expect(Down)
		for i := range 30 {
			lost := time.Now()
			p = f.peer()
			if d := time.Since(lost); d > timeout/4 {
				t.Fatalf("connection %d comes %v after the one before it was lost", i, d)
			}
			p.accept(session, timeout)
			c.expect(Up)
			c.works(p)
			time.Sleep(lasting / 2)
			p.Close()
			c.expect(Down)
		}
	})
}

// tryOn sends ch on a new connection, which has answered another request, and has it end after a while.
func tryOn(f *fake, c *client, p *peer, after time.Duration, sent ...*Change) *peer {
	c.t.Helper()
	c.works(p)
	var done []<-chan error
	for _, ch := range sent {
		done = append(done, c.try(c.t.Context(), ch))
		p.expect(ch.op)
	}
	time.Sleep(after)
	p.Close()
	for i, ch := range sent {
		if err := <-done[i]; !ch.Lost() {
			c.t.Errorf("the answer is not lost: %v", err)
		}
	}
	c.expect(Down)
	p = f.peer()
	p.accept(session, 10*time.Second)
	c.expect(Up)
	return p
}

func TestALineThatDiesIsNoVerdictOnTheSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		ch := c.change(&zk.SetDataRequest{Path: "/x", Data: make([]byte, SuspectSize), Version: -1})
		for range 2 * maxLosses {
			p = tryOn(f, c, p, refusalTime+time.Millisecond, ch)
		}
		if ch.TooLarge() {
			t.Error("it counts as too large, though its connections ended long after it had begun to leave")
		}
		for range maxLosses {
			p = tryOn(f, c, p, refusalTime/2, ch)
		}
		if !ch.TooLarge() {
			t.Error("three connections have ended upon it, and it does not count as too large")
		}
	})
}

// What the server refuses is the largest of the requests that are under way. The others are lost with it.
func TestTheLargestRequestIsTheOneThatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		write := func(path string, size int) *Change {
			return c.change(&zk.SetDataRequest{Path: path, Data: []byte(strings.Repeat("x", size)), Version: -1})
		}
		small, same, large := write("/small", SuspectSize), write("/same", 3*SuspectSize), write("/large", 3*SuspectSize)
		for range maxLosses {
			p = tryOn(f, c, p, 0, small, same, large)
		}
		if small.TooLarge() {
			t.Error("the smaller one counts as too large")
		}
		if !large.TooLarge() {
			t.Error("the larger one does not count as too large")
		}
		for range maxLosses {
			p = tryOn(f, c, p, 0, small)
		}
		if !small.TooLarge() {
			t.Error("alone it has ended three connections, and does not count as too large")
		}
	})
}
