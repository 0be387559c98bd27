package zkconn

import (
	"testing"
	"testing/synctest"
	"time"
)

// A server answers in order, so that an answer before its turn means that another was lost.
func TestAnAnswerThatWasLeftOutEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		first, second := c.get(), c.get()
		p.expect(opGetData)
		p.reply(p.expect(opGetData).xid, 1, 0, str("data"), stat(1))
		c.expect(Down)
		for _, done := range []<-chan error{first, second} {
			if err := <-done; !Transient(err) {
				t.Error(err)
			}
		}
		p = f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		c.works(p)
	})
}

func TestAnAnswerThatWasLeftOutOfOwnRequestsEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0}, &testWatch{"/b", Data, 0})
		c.pump()
		p.expect(opGetData)
		p.reply(p.expect(opGetData).xid, 1, 0, str("of b"), stat(1))
		c.expect(Down)
		table.noted(t, "")
		f.peer().accept(session, 10*time.Second)
		c.expect(Up)
		table.noted(t, "attached true")
	})
}

// answerPings answers pings and nothing else, until the client hangs up.
func (p *peer) answerPings() {
	p.SetDeadline(time.Time{})
	go func() { // ends with the connection
		for b, err := p.read(); err == nil; b, err = p.read() {
			if r := parsePacket(b); r.xid == xidPing {
				p.Write(reply(xidPing, 0, 0))
			}
		}
	}()
}

func TestAServerThatAnswersOnlyPingsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		const timeout = 10 * time.Second
		p.answerPings()
		time.Sleep(10 * timeout)
		c.quiet() // with nothing to answer, that is enough

		start := time.Now()
		done := c.get()
		c.expect(Down)
		if d := time.Since(start); d < timeout || d > timeout*3/2 {
			t.Errorf("left after %v", d)
		}
		if err := <-done; !Transient(err) {
			t.Error(err)
		}
		p = f.peer()
		p.accept(session, timeout)
		c.expect(Up)
		c.works(p)
	})
}

func TestAServerThatAnswersOnlyPingsIsLeftForAnOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		const timeout = 10 * time.Second
		p.answerPings()
		table.want(&testWatch{"/a", Data, 0})
		start := time.Now()
		c.pump()
		c.expect(Down)
		if d := time.Since(start); d < timeout || d > timeout*3/2 {
			t.Errorf("left after %v", d)
		}
		f.peer().accept(session, timeout)
		c.expect(Up)
		c.quiet()
	})
}
