package zktest

import (
	"strings"
	"testing"
	"time"
)

func TestVersionsThatAreServed(t *testing.T) {
	for version, want := range map[string]string{"3.5": "3.5.10", "3.9": "3.9.5", "3.8.0": "3.8.0", "": "", "3.4": "", "4.0": "", "3.": "", "3.9.x": ""} {
		s, err := New(WithVersion(version))
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "version") {
				t.Errorf("version %q: %v", version, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := word(rawDial(t, s).nc, "srvr")
		if err != nil || !strings.HasPrefix(text, "Zookeeper version: "+want+"-zktest,") {
			t.Errorf("version %q says %q, %v", version, text, err)
		}
		s.Close()
	}
}

// What a client meets that tries a new request on an old server: -6, and the end of the connection, not of
// the session.
func TestAnOldServerRefusesNewRequestsAndKeepsTheSession(t *testing.T) {
	for op, first := range map[Op]string{
		OpMultiRead: "3.6", OpSetWatches2: "3.6", OpAddWatch: "3.6", OpGetEphemerals: "3.6",
		OpGetAllChildrenNumber: "3.6", OpWhoAmI: "3.7",
	} {
		for _, version := range []string{"3.5", "3.6", "3.7", "3.8", "3.9"} {
			s := Start(t, WithVersion(version))
			c := rawSession(t, s, time.Minute)
			r := request{op: op, path: "/", watches: &watchLists{}}
			code, _ := c.must(t, r)
			if version >= first {
				if code != 0 {
					t.Errorf("%v on %s: %v", op, version, code)
				}
				continue
			}
			if code != ErrUnimplemented {
				t.Errorf("%v on %s: %v", op, version, code)
			}
			c.closed(t)
			if again, _, err := rawAgain(t, s, c); err != nil || again.session != c.session {
				t.Errorf("%v on %s: the session is gone: %v", op, version, err)
			}
		}
	}
}

func TestRequestsWithNegativeXidsAreAnsweredWithThem(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	for _, xid := range []int32{-1001, -8, -1 << 31} {
		c.xid = xid - 1
		frames, err := c.call(OpExists, (&request{op: OpExists, path: "/"}).body())
		if err != nil || len(frames) != 1 {
			t.Fatalf("xid %d: %d frames, %v", xid, len(frames), err)
		}
	}
}

// The probe of a client that wants to know whether a server has multiRead: an empty one is 9 bytes behind
// the header.
func TestAnEmptyMultiReadIsAnsweredWithNineBytes(t *testing.T) {
	c := rawSession(t, Start(t), time.Minute)
	if rest := c.ok(t, request{op: OpMultiRead}); len(rest.buf) != 9 {
		t.Fatalf("%x", rest.buf)
	}
}

func TestTheVersionDecidesWhatAWatchEventTells(t *testing.T) {
	for version, tells := range map[string]bool{"3.8": false, "3.9": true} {
		s := Start(t, WithVersion(version))
		c := rawSession(t, s, time.Minute)
		c.must(t, request{op: OpExists, path: "/a", watch: true})
		if err := s.Create("/a", nil); err != nil {
			t.Fatal(err)
		}
		want := int64(-1)
		if tells {
			want = s.Stats().Zxid
		}
		frame, err := c.readFrame()
		if err != nil {
			t.Fatal(err)
		}
		if got := eventZxid(frame); got != want {
			t.Errorf("%s: zxid %d, want %d", version, got, want)
		}
		catchUp := request{op: OpSetWatches, watches: &watchLists{exist: []string{"/a"}}}
		frames, err := c.call(catchUp.op, catchUp.body())
		if err != nil || len(frames) != 2 || eventZxid(frames[0]) != -1 {
			t.Errorf("%s: setWatches is answered with %x, %v", version, frames, err)
		}
	}
}

func eventZxid(frame []byte) int64 {
	d := &decoder{buf: frame}
	d.int32()
	return d.int64()
}

func TestTheVersionDecidesWhoLearnsOfANodeThatHeMayNotRead(t *testing.T) {
	for version, want := range map[string]struct {
		event  bool // of the change
		exists Code
	}{
		"3.7": {true, 0}, "3.8.0": {false, 0}, "3.8": {false, ErrNoAuth}, "3.9": {false, ErrNoAuth},
	} {
		s := Start(t, WithVersion(version))
		c, owner := rawSession(t, s, time.Minute), rawSession(t, s, time.Minute)
		owner.ok(t, request{op: OpAuth, scheme: "digest", data: []byte(userA)})
		c.ok(t, request{op: OpExists, path: "/", watch: true})
		if code, _ := c.must(t, request{op: OpExists, path: "/closed", watch: true}); code != ErrNoNode {
			t.Fatal(code)
		}
		create := createRequest("/closed", 0)
		create.acl = []aclEntry{{perms: permAll, scheme: "auth"}}
		owner.ok(t, create)
		frames, err := c.call(OpExists, (&request{op: OpExists, path: "/closed"}).body())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(frames) == 2; got != want.event {
			t.Errorf("%s: %d frames", version, len(frames))
		}
		d := &decoder{buf: frames[len(frames)-1]}
		d.int32()
		d.int64()
		if code := Code(d.int32()); code != want.exists {
			t.Errorf("%s: exists answers %v", version, code)
		}
		if st := s.Stats(); st.DataWatches != 1 { // that on "/": the other is used up either way
			t.Errorf("%s: %d watches", version, st.DataWatches)
		}
		// The events with which setWatches catches up are for everybody.
		c.send(OpSetWatches, (&request{op: OpSetWatches, watches: &watchLists{exist: []string{"/closed"}}}).body())
		if typ, path := c.event(t); typ != nodeCreated || path != "/closed" {
			t.Errorf("%s: event %v %q", version, typ, path)
		}
	}
}
