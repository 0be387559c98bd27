package zkconn

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestAChangeIsEncodedAsGoZooKeeperDoes(t *testing.T) {
	acl := append(zk.DigestACL(zk.PermAll, "user", "secret"), zk.WorldACL(zk.PermRead)...)
	create := &zk.CreateRequest{Path: "/x", Data: []byte("data"), Acl: acl, Flags: zk.FlagEphemeral}
	set := &zk.SetDataRequest{Path: "/x/y", Data: []byte("more data"), Version: 7}
	remove := &zk.DeleteRequest{Path: "/xyz", Version: -1}
	check := &zk.CheckVersionRequest{Path: "/c", Version: 3}
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		single := func(op any) *Change { return c.change(op) }
		multi := func(ops ...any) *Change {
			ch, err := c.NewTransaction(ops...)
			if err != nil {
				t.Fatal(err)
			}
			return ch
		}
		for _, test := range []struct {
			change *Change
			call   func(zc *zk.Conn) error
		}{
			{single(create), func(zc *zk.Conn) error { _, err := zc.Create("/x", []byte("data"), zk.FlagEphemeral, acl); return err }},
			{single(&zk.CreateRequest{Path: "/x"}), func(zc *zk.Conn) error { _, err := zc.Create("/x", nil, 0, nil); return err }},
			{single(&zk.CreateRequest{Path: "/x", Data: []byte{}}), func(zc *zk.Conn) error { _, err := zc.Create("/x", []byte{}, 0, nil); return err }},
			{single(&zk.CreateRequest{Path: "/c", Flags: zk.FlagContainer, Acl: acl}), func(zc *zk.Conn) error {
				_, err := zc.CreateContainer("/c", nil, zk.FlagContainer, acl)
				return err
			}},
			{single(&zk.CreateTTLRequest{Path: "/t", Flags: zk.FlagTTL, Data: []byte("d"), Acl: acl, Ttl: 5}), func(zc *zk.Conn) error {
				_, err := zc.CreateTTL("/t", []byte("d"), zk.FlagTTL, acl, 5*time.Millisecond)
				return err
			}},
			{single(set), func(zc *zk.Conn) error { _, err := zc.Set("/x/y", []byte("more data"), 7); return err }},
			{single(remove), func(zc *zk.Conn) error { return zc.Delete("/xyz", -1) }},
			{single(&SetACL{Path: "/x", ACL: acl, Version: 1}), func(zc *zk.Conn) error { _, err := zc.SetACL("/x", acl, 1); return err }},
			{multi(create, set, remove, check), func(zc *zk.Conn) error { _, err := zc.Multi(create, set, remove, check); return err }},
			{multi(), func(zc *zk.Conn) error { _, err := zc.Multi(); return err }},
		} {
			ours := c.try(t.Context(), test.change)
			got := p.request()
			p.reply(got.xid, 1, -101)
			theirs := make(chan error, 1)
			// Ends with the call, which is answered below.
			go func() { theirs <- c.Run(t.Context(), test.call) }()
			want := p.request()
			p.reply(want.xid, 1, -101)
			if got.op != want.op || !bytes.Equal(got.body, want.body) {
				t.Errorf("opcode %d: %x\ngo-zookeeper: opcode %d: %x", got.op, got.body, want.op, want.body)
			}
			if a, b := <-ours, <-theirs; !errors.Is(a, zk.ErrNoNode) || !errors.Is(b, zk.ErrNoNode) {
				t.Errorf("opcode %d: %v, go-zookeeper: %v", got.op, a, b)
			}
		}
	})
}

// send makes one try of ch, which is answered with body.
func (c *client) send(p *peer, ch *Change, body []byte) (r Result, err error) {
	c.t.Helper()
	done := make(chan struct{})
	// Ends with the call, which is answered below.
	go func() {
		defer close(done)
		err = c.Do(c.t.Context(), func() (err error) {
			r, err = c.Send(c.t.Context(), ch)
			return err
		})
	}()
	p.reply(p.expect(ch.op).xid, 9, 0, body)
	<-done
	return r, err
}

func TestTheAnswerToAChange(t *testing.T) {
	create, set := &zk.CreateRequest{Path: "/a"}, &zk.SetDataRequest{Path: "/a"}
	remove, check := &zk.DeleteRequest{Path: "/a"}, &zk.CheckVersionRequest{Path: "/a"}
	container, ttl := &zk.CreateRequest{Path: "/a", Flags: zk.FlagContainer}, &zk.CreateTTLRequest{Path: "/a", Flags: zk.FlagTTL}
	found := &zk.Stat{Czxid: 7, Mzxid: 7, Pzxid: 7}
	results := bytes.Join([][]byte{result(opCreate, 0, str("/a")), result(opSetData, 0, stat(7)), result(opCheck, 0), result(opDelete, 0), endOfMulti}, nil)
	refused := bytes.Join([][]byte{result(opError, 0, i32(0)), result(opError, 0, i32(-103)), result(opError, 0, i32(-2)), result(opError, 0, i32(-2)), endOfMulti}, nil)
	all := []any{create, set, check, remove}
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		for _, test := range []struct {
			ops  []any
			body []byte
			want Result
			err  error
		}{
			{[]any{create}, str("/a"), Result{Path: "/a"}, nil},
			{[]any{create}, str("/" + strings.Repeat("a", 100<<10)), Result{Path: "/" + strings.Repeat("a", 100<<10)}, nil},
			{[]any{container}, append(str("/a"), stat(1)...), Result{Path: "/a"}, nil}, // as real servers answer
			{[]any{ttl}, append(str("/a"), stat(1)...), Result{Path: "/a"}, nil},
			{[]any{set}, stat(7), Result{Stat: found}, nil},
			{[]any{&SetACL{Path: "/a"}}, stat(7), Result{Stat: found}, nil},
			{[]any{remove}, nil, Result{}, nil},
			{all, results, Result{Responses: []zk.MultiResponse{{String: "/a"}, {Stat: found}, {}, {}}}, nil},
			{all, refused, Result{Responses: []zk.MultiResponse{{}, {Error: zk.ErrBadVersion}, {Error: errRuntime}, {Error: errRuntime}}}, zk.ErrBadVersion},
			{[]any{create}, nil, Result{}, errMalformed},
			{[]any{create}, str(""), Result{}, errMalformed},
			{[]any{create}, i32(-1), Result{}, errMalformed},
			{[]any{create}, i32(1), Result{}, errMalformed},
			{[]any{create}, str("/abc")[:7], Result{}, errMalformed},
			{[]any{create}, str("/"), Result{}, errMalformed}, // of another node
			{[]any{container}, append(str("/b"), stat(1)...), Result{}, errMalformed},
			{[]any{ttl}, append(str(""), stat(1)...), Result{}, errMalformed},
			{[]any{set}, nil, Result{}, errMalformed},
			{[]any{set}, stat(7)[1:], Result{}, errMalformed},
			{all, nil, Result{}, errMalformed},
			{all, endOfMulti[:8], Result{}, errMalformed},
			{all, result(99, 0), Result{}, errMalformed},
			{all, endOfMulti, Result{}, errMalformed}, // fewer results than operations
			{all, slices.Concat(result(opCreate, 0, str("/a")), result(opSetData, 0, stat(7)), result(opCheck, 0), endOfMulti), Result{}, errMalformed},
			{all, slices.Concat(result(opCreate, 0, str("/")), result(opSetData, 0, stat(7)), result(opCheck, 0), result(opDelete, 0), endOfMulti), Result{}, errMalformed},
			{all, result(opCreate, 0, i32(100)), Result{}, errMalformed},
			{all, result(opSetData, 0), Result{}, errMalformed},
			{all, result(opError, 0), Result{}, errMalformed},
			{all, result(opDelete, 0), Result{}, errMalformed},
			{all, append(bytes.Repeat(result(opDelete, 0), 5), endOfMulti...), Result{}, errMalformed},
		} {
			var ch *Change
			if len(test.ops) == 1 {
				ch = c.change(test.ops[0])
			} else {
				var err error
				if ch, err = c.NewTransaction(test.ops...); err != nil {
					t.Fatal(err)
				}
			}
			got, err := c.send(p, ch, test.body)
			if !errors.Is(err, test.err) || test.err == nil && err != nil || !reflect.DeepEqual(got, test.want) || ch.Lost() != (test.err == errMalformed) {
				t.Errorf("opcode %d, body %.100x: %+v, %v, lost: %t; want %+v, %v", ch.op, test.body, got, err, ch.Lost(), test.want, test.err)
			}
		}
		c.works(p)
	})
}

func TestAnAccessControlListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		const limit = 1000
		c := f.open(Config{MaxReply: limit})
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		type answer struct {
			acl  []zk.ACL
			stat zk.Stat
			err  error
		}
		read := func(ctx context.Context) <-chan answer {
			done := make(chan answer, 1)
			// Ends with the call, which is answered below.
			go func() {
				var a answer
				a.err = c.Do(ctx, func() (err error) {
					a.acl, a.stat, err = c.ACL(ctx, "/x")
					return err
				})
				done <- a
			}()
			return done
		}
		one := bytes.Join([][]byte{i32(1), i32(31), str("world"), str("anyone"), stat(5)}, nil)
		for _, test := range []struct {
			body []byte
			acl  []zk.ACL
			err  error
		}{
			{one, zk.WorldACL(zk.PermAll), nil},
			{append(i32(0), stat(5)...), []zk.ACL{}, nil},
			{append(append(i32(1), i32(31)...), bytes.Join([][]byte{str(strings.Repeat("x", limit)), str(""), stat(5)}, nil)...), nil, ErrTooLarge},
			{nil, nil, errMalformed},
			{i32(1), nil, errMalformed},
			{i32(-1), nil, errMalformed},
			{i32(1<<31 - 1), nil, errMalformed},
			{one[:len(one)-1], nil, errMalformed},
			{bytes.Join([][]byte{i32(1), i32(31), str("world"), i32(100), stat(1)}, nil), nil, errMalformed},
		} {
			done := read(t.Context())
			p.reply(p.expect(opGetACL).xid, 5, 0, test.body)
			a := <-done
			if !errors.Is(a.err, test.err) || test.err == nil && (a.err != nil || a.stat.Mzxid != 5) || !reflect.DeepEqual(a.acl, test.acl) {
				t.Errorf("body %.100x: %+v, want %v, %v", test.body, a, test.acl, test.err)
			}
		}
		done := read(t.Context())
		p.reply(p.expect(opGetACL).xid, 5, -102)
		if a := <-done; !errors.Is(a.err, zk.ErrNoAuth) {
			t.Errorf("refused: %+v", a)
		}
		c.works(p)
	})
}
