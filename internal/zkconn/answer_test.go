package zkconn

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
)

// bodyOf is a reply's body of these parts, of which the last missing bytes never come.
func bodyOf(missing int, parts ...[]byte) *body {
	b := bytes.Join(parts, nil)
	return &body{r: bufio.NewReader(bytes.NewReader(b)), left: len(b) + missing}
}

// is checks what has become of a body.
func (b *body) is(t *testing.T, left int, err error) {
	t.Helper()
	if b.err != err || b.left != left {
		t.Errorf("%d bytes are left, %v; want %d, %v", b.left, b.err, left, err)
	}
}

func TestThePartsOfABody(t *testing.T) {
	b := bodyOf(0, i32(-7), i64(1<<40), []byte{1, 0}, []byte("abc"))
	if n, m, yes, no := b.int32(), b.int64(), b.bool(), b.bool(); n != -7 || m != 1<<40 || !yes || no {
		t.Errorf("they are %d, %d, %t, %t", n, m, yes, no)
	}
	b.discard(1)
	b.discard(0)
	b.take(0)
	if got := string(b.take(2)); got != "bc" {
		t.Errorf("the end is %q", got)
	}
	b.is(t, 0, nil)
	for name, step := range map[string]func(*body){
		"taken": func(b *body) { b.take(4) }, "discarded": func(b *body) { b.discard(4) },
		"taken, a negative length": func(b *body) { b.take(-1) }, "discarded, a negative length": func(b *body) { b.discard(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bodyOf(0, []byte("abc"))
			step(b)
			b.is(t, 3, errShort)
			b.discard(1) // the first error stays, and nothing is read any more
			if got := b.int32(); got != 0 {
				t.Errorf("after the error it is %d", got)
			}
			b.is(t, 3, errShort)
		})
	}
	for name, step := range map[string]func(*body){"taken": func(b *body) { b.take(4) }, "discarded": func(b *body) { b.discard(4) }} {
		b := bodyOf(1, []byte("abc"))
		if step(b); b.err != io.EOF {
			t.Errorf("%s from a connection that has ended: %v", name, b.err)
		}
		left := b.left
		b.take(100)
		b.discard(100)
		b.is(t, left, io.EOF)
	}
}

func TestTheDataOfABody(t *testing.T) {
	const most = 10_000
	large := strings.Repeat("0123456789", most/10)
	for name, test := range map[string]struct {
		bytes   []byte
		missing int
		want    string
		dropped bool
		left    int
		err     error
	}{
		"some":                                 {bytes: slices.Concat(str("data"), i32(1)), want: "data", left: 4},
		"none":                                 {bytes: str("")},
		"null":                                 {bytes: slices.Concat(i32(-1), i32(1)), left: 4},
		"as much as there may be":              {bytes: str(large), want: large},
		"more than there may be":               {bytes: slices.Concat(str(large+"x"), i32(1)), dropped: true, left: 4},
		"a length below that of null":          {bytes: i32(-2), err: errShort},
		"a length beyond the end":              {bytes: slices.Concat(i32(5), []byte("data")), left: 4, err: errShort},
		"a length beyond the end and the most": {bytes: slices.Concat(i32(most+1), []byte("data")), dropped: true, left: 4, err: errShort},
		"no length":                            {bytes: []byte{0, 0}, left: 2, err: errShort},
		"the connection ends":                  {bytes: slices.Concat(i32(5), []byte("data")), missing: 1, left: 5, err: io.EOF},
		"the connection ends within what is long": {bytes: str(large)[:9000], missing: most + 4 - 9000, left: most + 4 - 9000, err: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			b := bodyOf(test.missing, test.bytes)
			got, ok := b.data(most)
			if ok == test.dropped || test.err == nil && got != test.want {
				t.Errorf("%.20q of %d bytes, %t", got, len(got), ok)
			}
			b.is(t, test.left, test.err)
		})
	}
}

func TestTheNamesOfABody(t *testing.T) {
	const most = 10_000
	long := strings.Repeat("0123456789", most/10)
	for name, test := range map[string]struct {
		bytes   []byte
		missing int
		want    []string
		dropped bool
		left    int
		err     error
	}{
		"some":                       {bytes: slices.Concat(i32(3), str("one"), str(""), str("three"), i32(1)), want: []string{"one", "", "three"}, left: 4},
		"none":                       {bytes: i32(0)},
		"null":                       {bytes: i32(-1)},
		"a count below that of null": {bytes: i32(-2), err: errShort},
		"as many as there may be in what is left": {bytes: slices.Concat(i32(2), str(""), str("")), want: []string{"", ""}},
		"more than there can be in what is left":  {bytes: slices.Concat(i32(3), str(""), str("")), left: 8, err: errShort},
		"no count":                                {bytes: []byte{0, 0}, left: 2, err: errShort},
		"as much as there may be":                 {bytes: slices.Concat(i32(2), str("a"), str(long[:most-5])), want: []string{"a", long[:most-5]}},
		"more than there may be":                  {bytes: slices.Concat(i32(2), str("a"), str(long[:most-4]), i32(1)), dropped: true, left: most},
		"a name just as long as what is left":     {bytes: slices.Concat(i32(1), str("abc")), want: []string{"abc"}},
		"a name beyond the end":                   {bytes: slices.Concat(i32(1), i32(4), []byte("abc")), left: 3, err: errShort},
		"a name of negative length":               {bytes: slices.Concat(i32(1), i32(-1), []byte("abc")), left: 3, err: errShort},
		"the connection ends within a length":     {bytes: slices.Concat(i32(2), str("a"), []byte{0}), missing: 3, left: 4, err: io.EOF},
		"the connection ends within a name":       {bytes: slices.Concat(i32(1), str(long))[:9000], missing: most + 8 - 9000, left: most - 2*4096, err: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			b := bodyOf(test.missing, test.bytes)
			got, ok := b.names(most)
			if ok == test.dropped || test.err == nil && !slices.Equal(got, test.want) {
				t.Errorf("%.50q, %t", got, ok)
			}
			b.is(t, test.left, test.err)
		})
	}
}

func TestTheAnswerOfARequestForOneNode(t *testing.T) {
	const most = 200
	full := strings.Repeat("x", most-4-statSize)
	for name, test := range map[string]struct {
		kind Kind
		code int32
		body [][]byte
		want Answer
	}{
		"data":                     {kind: Data, body: [][]byte{str("x"), stat(3)}, want: Answer{Exists: true, Data: "x"}},
		"names":                    {kind: Children, body: [][]byte{i32(1), str("x"), stat(3)}, want: Answer{Exists: true, Names: []string{"x"}}},
		"metadata":                 {kind: Stat, body: [][]byte{stat(3)}, want: Answer{Exists: true}},
		"as much as may come":      {kind: Data, body: [][]byte{str(full), stat(3)}, want: Answer{Exists: true, Data: full}},
		"one byte more":            {kind: Data, body: [][]byte{str(full + "x"), stat(3)}, want: Answer{Exists: true, Err: errReplyTooLarge}},
		"data that is too large":   {kind: Data, body: [][]byte{str(strings.Repeat("x", most+1)), stat(3)}, want: Answer{Exists: true, Err: errReplyTooLarge}},
		"names that are too large": {kind: Children, body: [][]byte{i32(1), str(strings.Repeat("x", most+1)), stat(3)}, want: Answer{Exists: true, Err: errReplyTooLarge}},
		"no node":                  {kind: Data, code: codeNoNode, body: [][]byte{stat(3)}, want: Answer{}},
		"an error":                 {kind: Data, code: -102, body: [][]byte{stat(3)}, want: Answer{Err: zk.ErrNoAuth}},
		"data without end":         {kind: Data, body: [][]byte{i32(100), stat(3)}, want: Answer{Exists: true, Err: errMalformed}},
		"no metadata":              {kind: Children, body: [][]byte{i32(0), i64(7)}, want: Answer{Exists: true, Err: errMalformed}},
	} {
		t.Run(name, func(t *testing.T) {
			b := bodyOf(0, test.body...)
			var a Answer
			b.node(test.kind, test.code, most, &a)
			if a.Exists != test.want.Exists || a.Err != test.want.Err || a.Err == nil && (a.Data != test.want.Data || !slices.Equal(a.Names, test.want.Names)) {
				t.Errorf("it is %.200v, want %.200v", a, test.want)
			}
			if good := a.Exists && a.Err == nil; good != (a.Stat.Mzxid == 3) {
				t.Errorf("its metadata are %+v", a.Stat)
			}
		})
	}
}

func TestTheAnswerOfABatchForOneNode(t *testing.T) {
	const most = 200
	large := strings.Repeat("x", most+1)
	ok, failed := func(op int32, parts ...[]byte) []byte { return result(op, 0, parts...) }, func(code int32) []byte { return result(opError, 0, i32(code)) }
	for name, test := range map[string]struct {
		kind  Kind
		bytes []byte
		want  Answer
		err   error // as result returns it, or as the body has it
	}{
		"data":                    {kind: Data, bytes: ok(opGetData, str("x"), stat(3)), want: Answer{Exists: true, Data: "x"}},
		"data that is too large":  {kind: Data, bytes: ok(opGetData, str(large), stat(3)), want: Answer{Exists: true, Err: errReplyTooLarge}},
		"no node":                 {kind: Data, bytes: failed(codeNoNode)},
		"an error":                {kind: Data, bytes: failed(-102), want: Answer{Err: zk.ErrNoAuth}},
		"names":                   {kind: Children, bytes: slices.Concat(ok(opGetData, str("y"), stat(3)), ok(opGetChildren, i32(1), str("x"))), want: Answer{Exists: true, Names: []string{"x"}}},
		"names and too much data": {kind: Children, bytes: slices.Concat(ok(opGetData, str(large), stat(3)), ok(opGetChildren, i32(1), str("x"))), want: Answer{Exists: true, Names: []string{"x"}}},
		"names that are too large": {kind: Children, bytes: slices.Concat(ok(opGetData, str("y"), stat(3)), ok(opGetChildren, i32(1), str(large))),
			err: errShort},
		"gone between the two":      {kind: Children, bytes: slices.Concat(ok(opGetData, str("y"), stat(3)), failed(codeNoNode))},
		"closed between the two":    {kind: Children, bytes: slices.Concat(ok(opGetData, str("y"), stat(3)), failed(-102)), want: Answer{Err: zk.ErrNoAuth}},
		"created between the two":   {kind: Children, bytes: slices.Concat(failed(codeNoNode), ok(opGetChildren, i32(0)))},
		"opened between the two":    {kind: Children, bytes: slices.Concat(failed(-102), ok(opGetChildren, i32(0))), want: Answer{Err: zk.ErrNoAuth}},
		"gone, and closed before":   {kind: Children, bytes: slices.Concat(failed(-102), failed(codeNoNode)), want: Answer{Err: zk.ErrNoAuth}},
		"another operation":         {kind: Data, bytes: ok(opGetChildren, i32(0)), err: errMalformed},
		"another second operation":  {kind: Children, bytes: slices.Concat(ok(opGetData, str("y"), stat(3)), ok(opGetData, str("y"), stat(3))), err: errMalformed},
		"the end":                   {kind: Data, bytes: endOfMulti, err: errMalformed},
		"the end, of the operation": {kind: Data, bytes: slices.Concat(i32(opGetData), []byte{1}, i32(0), str("x"), stat(3)), err: errMalformed},
		"the end, of an error":      {kind: Data, bytes: slices.Concat(i32(opError), []byte{1}, i32(-1), i32(-102)), err: errMalformed},
		"an error that is none":     {kind: Data, bytes: failed(0), err: errMalformed},
		"nothing":                   {kind: Data, err: errMalformed},
		"without its metadata":      {kind: Data, bytes: ok(opGetData, str("x"), i64(3)), err: errShort},
		"without a second":          {kind: Children, bytes: ok(opGetData, str("x"), stat(3)), err: errMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := bodyOf(0, test.bytes)
			var a Answer
			err := b.result(test.kind, &a, most)
			if err == nil {
				err = b.err
			}
			switch {
			case err != test.err:
				t.Errorf("the error is %v, want %v", err, test.err)
			case err != nil:
			case b.left != 0:
				t.Errorf("%d bytes are left", b.left)
			case a.Exists != test.want.Exists || a.Err != test.want.Err:
				t.Errorf("it is %.200v, want %.200v", a, test.want)
			case a.Exists && a.Err == nil && (a.Data != test.want.Data || !slices.Equal(a.Names, test.want.Names) || a.Stat.Mzxid != 3):
				t.Errorf("it is %.200v, want %.200v", a, test.want)
			case a.Err == nil && !a.Exists && a.Stat != zk.Stat{}:
				t.Errorf("of a missing node there is %+v", a.Stat)
			}
		})
	}
}

// An answer of which only a part has come is none, nor does it say what the server can do.
func TestAConnectionThatEndsWithinAnAnswer(t *testing.T) {
	whole := slices.Concat(result(opGetData, 0, str("content"), stat(1)), result(opGetData, 0, str("content"), stat(1)),
		result(opGetData, 0, str("content"), stat(1)), result(opGetData, 0, str("content"), stat(1)), endOfMulti)
	for name, test := range map[string]struct {
		watches int
		op      int32
		answer  []byte
		cut     int // bytes that do not come
		want    string
	}{
		"of one node, in its data":     {1, opGetData, slices.Concat(str("content"), stat(1)), statSize + 3, ""},
		"of one node, in its metadata": {1, opGetData, slices.Concat(str("content"), stat(1)), 3, ""},
		"of one node, behind it":       {1, opGetData, slices.Concat(str("content"), stat(1), i64(0)), 3, `/0 true "content"; `},
		"of a batch, in the first":     {4, opMultiRead, whole, len(whole) - 20, ""},
		"of a batch, in the third":     {4, opMultiRead, whole, 120, `/0 true "content"; /1 true "content"; `},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c, p, table := withTable(t)
				ws := sized(slices.Repeat([]int{0}, test.watches)...)
				table.want(ws...)
				c.pump()
				b := reply(p.expect(test.op).xid, 7, 0, test.answer)
				p.send(b[:len(b)-test.cut])
				p.Close()
				c.expect(Down)
				p = f.peer()
				p.accept(session, at)
				c.expect(Up)
				table.noted(t, test.want+"attached true")
				table.want(ws...)
				c.pump()
				if strings.Contains(test.want, "/1") { // what a batch has brought is to be watched
					p.expect(opSetWatches)
				}
				p.expect(test.op)
			})
		})
	}
}

// What comes behind the path of a container does not matter, but without it no zxid is noted.
func TestAWriteIsAnsweredWhenItsZxidIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.works(p)
		ch := c.change(&zk.CreateRequest{Path: "/a", Flags: zk.FlagContainer})
		done := c.try(t.Context(), ch)
		b := reply(p.expect(opCreateContainer).xid, 7, 0, str("/a"), stat(7))
		p.send(b[:len(b)-1])
		synctest.Wait()
		p.Close()
		if err := <-done; !Transient(err) || !ch.Lost() {
			t.Errorf("a part of the answer: %v, lost: %t, zxid %d", err, ch.Lost(), c.Zxid())
		}
		c.expect(Down)
		p = f.peer()
		p.accept(session, at)
		c.expect(Up)
		done = c.try(t.Context(), ch)
		p.reply(p.expect(opCreateContainer).xid, 9, 0, str("/a"), stat(9))
		if err := <-done; err != nil || c.Zxid() != 9 {
			t.Errorf("%v, zxid %d", err, c.Zxid())
		}
	})
}
