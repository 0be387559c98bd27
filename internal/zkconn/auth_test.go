package zkconn

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestCredentialsAreSentFirstOnEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}, {"ip", nil}}})
		auth := func(p *peer) {
			t.Helper()
			for _, want := range [][]byte{
				bytes.Join([][]byte{i32(0), str("digest"), str("user:password")}, nil),
				bytes.Join([][]byte{i32(0), str("ip"), str("")}, nil),
			} {
				r := p.expect(opAuth)
				if r.xid != xidAuth || !bytes.Equal(r.body, want) {
					t.Errorf("credential: xid %d, %q", r.xid, r.body)
				}
				synctest.Wait()
				if c.IsUp() != false {
					t.Error("there is a session before the credentials are in force")
				}
				p.reply(r.xid, 0, 0)
			}
		}
		p := f.peer()
		p.accept(session, 10*time.Second)
		auth(p)
		c.expect(Up)
		c.works(p)
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(session, 10*time.Second)
		auth(p)
		c.expect(Up)
		p.expect(opSetWatches)
	})
}

func TestARefusedCredentialIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}}})
		for i := range 3 {
			p := f.peer()
			h := p.accept(session, 10*time.Second)
			if i > 0 && h.session != session {
				t.Errorf("try %d asks for session %#x: the one of before is left to itself", i, h.session)
			}
			p.reply(p.expect(opAuth).xid, 0, -115)
			p.Close()
			ev := c.expect(AuthFailed) // and no Up
			if !errors.Is(ev.Err, zk.ErrAuthFailed) || strings.Contains(ev.Err.Error(), "password") {
				t.Errorf("error %v", ev.Err)
			}
			if why := c.Failures(); !strings.Contains(why, ev.Err.Error()) {
				t.Errorf("Failures() = %q", why)
			}
		}
		// A session that go-zookeeper never saw has run out meanwhile.
		f.peer().accept(0, 0)
		c.expect(Expired)
		p := f.peer()
		if h := p.accept(session+1, 10*time.Second); h.session != 0 {
			t.Errorf("the client asks for %#x", h.session)
		}
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
		c.works(p)
	})
}

func TestAnAnswerToACredentialThatIsNoneEndsTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}}})
		for _, b := range [][]byte{reply(7, 0, 0), reply(xidAuth, 0, 0, i32(0)), i32(-1), nil} {
			p := f.peer()
			p.accept(session, 10*time.Second)
			p.expect(opAuth)
			p.send(b)
			p.Close()
		}
		p := f.peer()
		if why := c.Failures(); !strings.Contains(why, `credential of scheme "digest"`) {
			t.Errorf("Failures() = %q", why)
		}
		p.accept(session, 10*time.Second)
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
	})
}
