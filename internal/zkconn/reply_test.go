package zkconn

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// calls has a call for each shape of reply; it returns what the reply says.
var calls = []struct {
	op int32
	fn func(*zk.Conn) (any, error)
}{
	{opGetData, func(zc *zk.Conn) (any, error) { v, _, err := zc.Get("/x"); return v, err }},
	{opGetChildren2, func(zc *zk.Conn) (any, error) { v, _, err := zc.Children("/x"); return v, err }},
	{opExists, func(zc *zk.Conn) (any, error) {
		_, stat, err := zc.Exists("/x")
		if err != nil {
			return nil, err // stat means nothing then
		}
		return stat.Mzxid, nil
	}},
	{opSetData, func(zc *zk.Conn) (any, error) {
		stat, err := zc.Set("/x", nil, 0)
		if err != nil {
			return nil, err
		}
		return stat.Mzxid, nil
	}},
	{opGetACL, func(zc *zk.Conn) (any, error) { v, _, err := zc.GetACL("/x"); return v, err }},
	{opSetACL, func(zc *zk.Conn) (any, error) {
		stat, err := zc.SetACL("/x", nil, 0)
		if err != nil {
			return nil, err
		}
		return stat.Mzxid, nil
	}},
	{opCreate, func(zc *zk.Conn) (any, error) { return zc.Create("/x", nil, 0, nil) }},
	{opCreateContainer, func(zc *zk.Conn) (any, error) { return zc.CreateContainer("/x", nil, zk.FlagContainer, nil) }},
	{opCreateTTL, func(zc *zk.Conn) (any, error) {
		return zc.CreateTTL("/x", nil, zk.FlagTTL, nil, time.Second)
	}},
	{opSync, func(zc *zk.Conn) (any, error) { return zc.Sync("/x") }},
	{opReconfig, func(zc *zk.Conn) (any, error) {
		stat, err := zc.Reconfig(nil, 0)
		if err != nil {
			return nil, err
		}
		return stat.Mzxid, nil
	}},
	{opMulti, func(zc *zk.Conn) (any, error) { v, err := zc.Multi(&zk.DeleteRequest{Path: "/x"}); return v, err }},
	{opDelete, func(zc *zk.Conn) (any, error) { return nil, zc.Delete("/x", 0) }},
}

// ask makes the call of op, answers it, and returns its outcome. Of a body that has been cut off the
// reply says nothing: its length is that of what is left.
func (c *client) ask(p *peer, op int32, body []byte) (v any, err error) {
	c.t.Helper()
	for _, call := range calls {
		if call.op != op {
			continue
		}
		done := make(chan struct{})
		// Ends with the call, which is answered below.
		go func() {
			defer close(done)
			err = c.Run(c.t.Context(), func(zc *zk.Conn) (err error) {
				v, err = call.fn(zc)
				return err
			})
		}()
		p.reply(p.expect(op).xid, 1, 0, body)
		<-done
		return v, err
	}
	c.t.Fatalf("no call has opcode %d", op)
	return nil, nil
}

// result is one of a transaction's.
func result(op int32, done byte, body ...[]byte) []byte {
	return append(append(i32(op), done, 0, 0, 0, 0), bytes.Join(body, nil)...)
}

var endOfMulti = result(-1, 1)

// manyNames has more bytes than are read ahead.
var manyNames = func() (names []string) {
	for i := range 5000 {
		names = append(names, fmt.Sprintf("child-%d", i))
	}
	return names
}()

func children(names ...string) []byte {
	b := i32(int32(len(names)))
	for _, n := range names {
		b = append(b, str(n)...)
	}
	return append(b, stat(1)...)
}

func TestAWellFormedReplyIsPassedOnAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		large := strings.Repeat("x", 100<<10)
		multi := bytes.Join([][]byte{result(opCreate, 0, str("/a")), result(opSetData, 0, stat(5)), result(opCheck, 0), result(opDelete, 0), endOfMulti}, nil)
		for _, test := range []struct {
			op   int32
			body []byte
			want any
		}{
			{opGetData, append(str("data"), stat(1)...), []byte("data")},
			{opGetData, append(str(""), stat(1)...), []byte{}},
			{opGetData, append(i32(-1), stat(1)...), []byte(nil)},
			{opGetData, append(str(large), stat(1)...), []byte(large)},
			{opGetChildren2, children(), []string{}},
			{opGetChildren2, children("one", "two"), []string{"one", "two"}},
			{opGetChildren2, children(manyNames...), manyNames},
			{opExists, stat(7), int64(7)},
			{opSetData, stat(7), int64(7)},
			{opSetACL, stat(7), int64(7)},
			{opReconfig, append(str("server.1"), stat(7)...), int64(7)},
			{opGetACL, bytes.Join([][]byte{i32(1), i32(31), str("world"), str("anyone"), stat(1)}, nil), zk.WorldACL(zk.PermAll)},
			{opCreate, str("/x"), "/x"},
			{opCreateContainer, append(str("/x"), stat(1)...), "/x"}, // as real servers answer
			{opCreateTTL, append(str("/x"), stat(1)...), "/x"},
			{opSync, str("/x"), "/x"},
			{opMulti, endOfMulti, []zk.MultiResponse{}},
			{opMulti, multi, []zk.MultiResponse{{String: "/a"}, {Stat: &zk.Stat{Czxid: 5, Mzxid: 5, Pzxid: 5}}, {}, {}}},
			{opDelete, nil, nil},
		} {
			got, err := c.ask(p, test.op, test.body)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("opcode %d: %v, %v, want %v", test.op, got, err, test.want)
			}
		}
		if v, err := c.ask(p, opMulti, append(result(opError, 0, i32(-101)), endOfMulti...)); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("a transaction that failed: %v, %v", v, err)
		}
		if v, err := c.ask(p, opMulti, result(99, 0)); !errors.Is(err, zk.ErrAPIError) {
			t.Errorf("an unknown result: %v, %v", v, err)
		}
		c.quiet()
	})
}

func TestAMalformedReplyIsAnErrorOfItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		// Larger than what is to come, so that go-zookeeper's buffer has more behind each body.
		if _, err := c.ask(p, opGetData, append(str(strings.Repeat("left over ", 1000)), stat(1)...)); err != nil {
			t.Fatal(err)
		}
		bad := map[int32][][]byte{
			opGetData:      {nil, i32(0), str("data"), append(str("data"), stat(1)[1:]...), append(i32(5), stat(1)...), append(i32(-2), stat(1)...), append(i32(1<<31-1), stat(1)...)},
			opReconfig:     {nil, append(str("data"), stat(1)[1:]...)},
			opGetChildren2: {nil, i32(0), children("a")[:9+67], append(i32(2), children("a")[4:]...), append(i32(-1), stat(1)...), append(i32(1<<31-1), stat(1)...), bytes.Join([][]byte{i32(1), i32(-1), stat(1)}, nil), children(manyNames...)[:50000], append(i32(1e6), children(manyNames...)...)},
			opExists:       {nil, stat(1)[1:]},
			opSetData:      {nil, stat(1)[1:]},
			opSetACL:       {nil, stat(1)[1:]},
			opGetACL:       {nil, i32(1), i32(-1), i32(1<<31 - 1), bytes.Join([][]byte{i32(1), i32(31), str("world"), i32(100), stat(1)}, nil)},
			opCreate:       {nil, {0, 0}, i32(1), i32(-1), str("/x")[:5]},
			opSync:         {nil, i32(1)},
			opMulti:        {nil, endOfMulti[:8], endOfMulti[:4], result(opCreate, 0, i32(100)), result(opSetData, 0), result(opError, 0), result(opDelete, 0)},
		}
		for op, bodies := range bad {
			for _, body := range bodies {
				v, err := c.ask(p, op, body)
				if !errors.Is(err, errMalformed) || Transient(err) {
					t.Errorf("opcode %d, body %.100x: %v, %v", op, body, v, err)
				}
			}
		}
		c.quiet()
		c.works(p)
	})
}

func TestTheBodyOfAnErrorIsNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		done := c.get()
		p.reply(p.expect(opGetData).xid, 1, -101, i32(-1))
		if err := <-done; !errors.Is(err, zk.ErrNoNode) {
			t.Error(err)
		}
	})
}

func TestAnOversizedReplyIsAnErrorOfItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		const limit = 1000
		c := f.open(Config{MaxReply: limit})
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		fits := strings.Repeat("x", limit-replyHeader-4-statSize)
		if got, err := c.ask(p, opGetData, append(str(fits), stat(1)...)); err != nil || string(got.([]byte)) != fits {
			t.Errorf("a reply of just %d bytes: %v", limit, err)
		}
		for _, data := range []string{fits + "x", strings.Repeat("x", 100<<10)} {
			if _, err := c.ask(p, opGetData, append(str(data), stat(1)...)); !errors.Is(err, ErrTooLarge) || Transient(err) {
				t.Errorf("a reply with %d bytes of data: %v", len(data), err)
			}
		}
		if _, err := c.ask(p, opGetChildren2, children(manyNames...)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a list of children: %v", err)
		}
		c.quiet() // the connection has stayed
		c.works(p)
	})
}
