package zkconn

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// begin runs fn in a goroutine of its own, which ends with it, and returns what will have its outcome.
func begin(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

// watches answers the next request, and reports whether it sets a watch.
func (p *peer) watches(zxid int64) bool {
	p.f.t.Helper()
	r := p.request()
	switch r.op {
	case opGetData:
		p.reply(r.xid, zxid, 0, str(""), stat(1))
	case opGetChildren2:
		p.reply(r.xid, zxid, 0, children())
	case opExists:
		p.reply(r.xid, zxid, 0, stat(1))
	default:
		p.f.t.Fatalf("request %+v", r)
	}
	return r.body[len(r.body)-1] == 1
}

func TestWatchSetsAWatchWithEachReadOfItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(session, 10*time.Second)
		s := c.expect(Up).Session
		done := begin(func() error {
			return c.Watch(s.Generation, "/a", func(zc *zk.Conn) error {
				_, _, err := zc.Get("/a")
				_, _, err2 := zc.Children("/a")
				_, _, err3 := zc.Exists("/a")
				_, _, err4 := zc.Get("/a/b")
				_, _, err5 := zc.Get("/")
				return errors.Join(err, err2, err3, err4, err5)
			})
		})
		for i, want := range []bool{true, true, true, false, false} {
			if got := p.watches(7); got != want {
				t.Errorf("request %d sets a watch: %t", i, got)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.send(event(zk.EventNodeDataChanged, "/a"))
		if ev := c.changed(); ev.path != "/a" {
			t.Errorf("event %+v", ev)
		}

		// Afterwards a read is only a read, and go-zookeeper knows of no watch.
		done = begin(func() error {
			_, _, err := c.Handle().Get("/a")
			return err
		})
		if p.watches(7) {
			t.Error("a read after Watch sets a watch")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		p = c.reconnect(f, p)
		start := time.Now()
		c.works(p) // no SetWatches comes before
		if d := time.Since(start); d != 0 {
			t.Errorf("a request took %v", d)
		}
	})
}

func TestWatchesOfOnePathDoNotEndEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(session, 10*time.Second)
		s := c.expect(Up).Session
		resume := make(chan bool)
		long := begin(func() error {
			return c.Watch(s.Generation, "/a", func(zc *zk.Conn) error {
				<-resume
				_, _, err := zc.Get("/a")
				return err
			})
		})
		synctest.Wait()
		short := begin(func() error {
			return c.Watch(s.Generation, "/a", func(zc *zk.Conn) error {
				_, _, err := zc.Exists("/a")
				return err
			})
		})
		if !p.watches(7) {
			t.Error("the short one sets no watch")
		}
		if err := <-short; err != nil {
			t.Error(err)
		}
		close(resume)
		if !p.watches(7) {
			t.Error("the long one sets no watch")
		}
		if err := <-long; err != nil {
			t.Error(err)
		}
		if len(c.arming) != 0 {
			t.Errorf("left over: %v", c.arming)
		}
	})
}

func TestWatchLeavesTheBufferOfItsCallerAlone(t *testing.T) {
	rec := &recorder{}
	c := bareConn()
	c.arming = map[string]int{"/a": 1}
	w := newWire(c, rec, "server:2181")
	w.Write(hey(0, 0))
	rec.written.Reset()
	packet := frame(i32(1), i32(opGetData), str("/a"), []byte{0})
	before := bytes.Clone(packet)
	w.Write(packet)
	if sent := rec.written.Bytes(); sent[len(sent)-1] != 1 || !bytes.Equal(sent[:len(sent)-1], before[:len(before)-1]) {
		t.Errorf("sent %x", sent)
	}
	if !bytes.Equal(packet, before) {
		t.Error("Write has changed its argument")
	}
}

func TestWatchWantsItsGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(session, 10*time.Second)
		s := c.expect(Up).Session
		if err := c.Watch(s.Generation+1, "/a", func(*zk.Conn) error { return nil }); err != ErrDown {
			t.Error(err)
		}
		if len(c.arming) != 0 {
			t.Errorf("left over: %v", c.arming)
		}
	})
}

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

func TestTheAnswerToACredentialMayOvertakeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		get := c.get()
		r := p.expect(opGetData)
		c.addAuth(p)
		p.reply(r.xid, 1, 0, str("data"), stat(1))
		if err := <-get; err != nil {
			t.Error(err)
		}

		// And be overtaken.
		auth := begin(func() error { return c.Handle().AddAuth("digest", nil) })
		r = p.expect(opAuth)
		c.works(p)
		p.reply(r.xid, 0, 0)
		if err := <-auth; err != nil {
			t.Error(err)
		}
		c.quiet()
	})
}

func TestAServerThatAnswersOnlyPingsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		f := newFake(t)
		c := f.open(Config{Timeout: timeout})
		p := f.peer()
		p.accept(session, timeout)
		c.expect(Up)
		answerPings := func(p *peer) {
			for b, err := p.read(); err == nil; b, err = p.read() {
				if r := parsePacket(b); r.xid == xidPing {
					p.Write(reply(xidPing, 0, 0))
				}
			}
		}
		p.SetDeadline(time.Time{})
		go answerPings(p) // ends with the connection
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
