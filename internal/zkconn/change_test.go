package zkconn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// try makes one try of ch in a goroutine, and returns what will have its outcome.
func (c *client) try(ctx context.Context, ch *Change) <-chan error {
	done := make(chan error, 1)
	// Ends with the call, at the latest when the test closes the Conn.
	go func() {
		done <- c.Do(ctx, func() error {
			_, err := c.Send(ctx, ch)
			return err
		})
	}()
	return done
}

func (c *client) change(op any) *Change {
	c.t.Helper()
	ch, err := c.NewChange(op)
	if err != nil {
		c.t.Fatal(err)
	}
	return ch
}

func TestTheSizeOfAChangeIsThatOfItsPacket(t *testing.T) {
	acl := append(zk.DigestACL(zk.PermAll, "user", "secret"), zk.WorldACL(zk.PermRead)...)
	create := &zk.CreateRequest{Path: "/x", Data: []byte("data"), Acl: acl}
	set := &zk.SetDataRequest{Path: "/x/y", Data: []byte("more data"), Version: 7}
	remove := &zk.DeleteRequest{Path: "/xyz", Version: -1}
	check := &zk.CheckVersionRequest{Path: "/c", Version: 3}
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		changes := []*Change{
			c.change(create), c.change(set), c.change(remove),
			c.change(&zk.CreateRequest{Path: "/container", Flags: zk.FlagContainer, Acl: acl}),
			c.change(&zk.CreateTTLRequest{Path: "/ttl", Flags: zk.FlagTTL, Data: []byte("d"), Acl: acl, Ttl: 5}),
			c.change(&SetACL{Path: "/x", ACL: acl, Version: 1}),
		}
		for _, ops := range [][]any{{create}, {create, set, remove, check}, {}} {
			ch, err := c.NewTransaction(ops...)
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, ch)
		}
		for i, ch := range changes {
			done := c.try(t.Context(), ch)
			packet := p.request()
			if got := 8 + len(packet.body); ch.Size() != got || ch.op != packet.op {
				t.Errorf("change %d, opcode %d: size %d, the packet has %d", i, packet.op, ch.Size(), got)
			}
			p.reply(packet.xid, int64(i+1), -101)
			if err := <-done; !errors.Is(err, zk.ErrNoNode) || ch.Lost() {
				t.Errorf("change %d: %v, lost: %t", i, err, ch.Lost())
			}
		}
		for i, ch := range changes[:len(changes)-1] { // the last one is empty, and changes nothing
			done := c.try(t.Context(), ch)
			p.request()
			p.Close()
			if err := <-done; !Transient(err) || !ch.Lost() || ch.Since() != int64(len(changes)) {
				t.Errorf("change %d: %v, lost: %t, since %d", i, err, ch.Lost(), ch.Since())
			}
			c.expect(Down)
			p = f.peer()
			p.accept(session, 10*time.Second)
			c.expect(Up)
		}
	})
}

func TestOnlyATransactionMayCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, _ := connected(t)
		if _, err := c.NewChange(&zk.CheckVersionRequest{}); err == nil {
			t.Error("a check alone is no change")
		}
		if _, err := c.NewTransaction(&zk.CreateTTLRequest{}); err == nil {
			t.Error("go-zookeeper has no transaction with a TTL node")
		}
	})
}

// Somebody else is sending, so that the request has not begun to leave when its caller goes.
func TestARequestIsWithdrawnWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		first := c.get()
		synctest.Wait() // it is being written, and nobody reads
		before := c.try(t.Context(), c.change(&zk.SetDataRequest{Path: "/before", Data: []byte("1"), Version: -1}))
		synctest.Wait()
		ch := c.change(&zk.SetDataRequest{Path: "/x", Data: []byte("1"), Version: -1})
		ctx, cancel := context.WithCancel(t.Context())
		done := c.try(ctx, ch)
		synctest.Wait()
		behind := c.try(t.Context(), c.change(&zk.SetDataRequest{Path: "/behind", Data: []byte("1"), Version: -1}))
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || ch.Lost() {
			t.Fatalf("%v, lost: %t", err, ch.Lost())
		}
		p.reply(p.expect(opGetData).xid, 1, 0, str("data"), stat(1))
		if err := <-first; err != nil {
			t.Error(err)
		}
		for i, done := range []<-chan error{before, behind} { // and nothing between them
			p.reply(p.expect(opSetData).xid, int64(2+i), 0, stat(int64(2+i)))
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		c.works(p)
	})
}

func TestARequestUnderWayMayBeCarriedOutAfterItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		ch := c.change(&zk.SetDataRequest{Path: "/x", Data: []byte("1"), Version: -1})
		ctx, cancel := context.WithCancel(t.Context())
		done := c.try(ctx, ch)
		xid := p.expect(opSetData).xid
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !ch.Lost() {
			t.Fatalf("%v, lost: %t", err, ch.Lost())
		}
		p.reply(xid, 1, 0, stat(1)) // for nobody
		c.works(p)
	})
}

func TestARequestThatHasNotLeftIsNotLostWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.get()
		synctest.Wait() // it is being written, and nobody reads
		ch := c.change(&zk.SetDataRequest{Path: "/x", Data: []byte("1"), Version: -1})
		done := c.try(t.Context(), ch)
		synctest.Wait()
		p.Close()
		if err := <-done; !errors.Is(err, ErrDown) || ch.Lost() {
			t.Errorf("%v, lost: %t", err, ch.Lost())
		}
		c.expect(Down)
		p = f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		c.works(p)
	})
}

// The server answers what is still being sent, and then what has not begun to leave.
func TestAnAnswerToWhatWasNotSentEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.works(p)
		first := c.try(t.Context(), c.change(&zk.SetDataRequest{Path: "/x", Data: make([]byte, 2*inline), Version: -1}))
		synctest.Wait() // it is being sent, and nobody reads
		second := c.change(&zk.SetDataRequest{Path: "/x", Data: []byte("2"), Version: -1})
		done := c.try(t.Context(), second)
		synctest.Wait()
		xid := c.own.Load().waiting[0].xid
		p.reply(xid, 2, 0, stat(2))
		if err := <-first; err != nil {
			t.Error(err)
		}
		p.reply(xid-1, 3, 0, stat(3))
		if err := <-done; !Transient(err) || second.Lost() {
			t.Errorf("%v, lost: %t", err, second.Lost())
		}
		c.expect(Down)
		p = f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		c.works(p)
	})
}
