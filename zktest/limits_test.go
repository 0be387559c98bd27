package zktest

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

func TestSessionTimeoutsAreClampedApartFromTheTick(t *testing.T) {
	s := Start(t, WithTickTime(time.Second), WithSessionTimeouts(100*time.Millisecond, time.Hour))
	for asked, want := range map[time.Duration]time.Duration{
		time.Millisecond: 100 * time.Millisecond, 200 * time.Millisecond: 200 * time.Millisecond,
		time.Minute: time.Minute, 100 * time.Hour: time.Hour,
	} {
		reply, err := rawDial(t, s).handshake(asked, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(binary.BigEndian.Uint32(reply[4:])) * time.Millisecond; got != want {
			t.Errorf("asked for %v, got %v, want %v", asked, got, want)
		}
	}
	if _, err := New(WithSessionTimeouts(time.Minute, time.Second)); err == nil {
		t.Error("the shortest timeout may be longer than the longest")
	}
	if _, err := New(WithTickTime(time.Second), WithSessionTimeouts(0, time.Second)); err == nil {
		t.Error("the shortest timeout, two ticks, may be longer than the longest")
	}
}

// A ZooKeeper that has been installed and not configured refuses TTL nodes. The connection lives on.
func TestTTLNodesHaveToBeAskedFor(t *testing.T) {
	ttl := request{op: OpCreateTTL, path: "/t", acl: openACL, flags: 5, ttl: 1000}
	for _, allowed := range []bool{false, true} {
		opts, want := []Option{}, ErrUnimplemented
		if allowed {
			opts, want = append(opts, WithExtendedTypes()), 0
		}
		c := rawSession(t, Start(t, opts...), time.Minute)
		if code, _ := c.must(t, ttl); code != want {
			t.Errorf("allowed %v: %v", allowed, code)
		}
		c.ok(t, createRequest("/a", 0))
	}
}

// The size of a request is that of its frame without the length in front: one of exactly the limit passes. A
// larger one gets its connection closed without a word, and the session lives on.
func TestRequestsThatAreTooLargeEndTheConnectionAsOnZooKeeper(t *testing.T) {
	const limit = 20_000
	e := ensemble.Start(t, 1, ensemble.Options{Java: []string{"-Djute.maxbuffer=20000"}})
	s := Start(t, WithMaxBuffer(limit))
	for name, addr := range map[string]string{"real": e.Servers()[0].Addr(), "zktest": s.Addr()} {
		c := rawTCP(t, addr)
		if _, err := c.handshake(10*time.Second, false); err != nil {
			t.Fatal(err)
		}
		set := request{op: OpSetData, path: "/zookeeper/quota", version: -1}
		overhead := 8 + len(set.body())
		set.data = make([]byte, limit-overhead)
		if code, _ := c.must(t, set); code != 0 {
			t.Errorf("%s: a request of the limit: %v", name, code)
		}
		set.data = append(set.data, 0)
		if frames, err := c.call(set.op, set.body()); err == nil || timedOut(err) || len(frames) > 0 {
			t.Errorf("%s: a byte more: %d frames, %v", name, len(frames), err)
		}
		again := rawTCP(t, addr)
		again.session, again.password = c.session, c.password
		if _, err := again.handshake(10*time.Second, false); err != nil || again.session != c.session {
			t.Errorf("%s: the session: %v", name, err)
		}
		// An answer may be larger than that.
		for i := range 20 {
			again.ok(t, request{op: OpCreate, path: "/zookeeper/quota/" + string(rune('a'+i)), data: make([]byte, limit-1000), acl: openACL})
		}
		many := request{op: OpMultiRead}
		for i := range 20 {
			many.multi = append(many.multi, request{op: OpGetData, path: "/zookeeper/quota/" + string(rune('a'+i))})
		}
		if rest := again.ok(t, many); len(rest.buf) < 20*(limit-1000) {
			t.Errorf("%s: an answer of %d bytes", name, len(rest.buf))
		}
	}
}
