package zktest

import (
	"testing"
	"time"
)

func TestEnsembleAnswersAsZooKeepers(t *testing.T) {
	real := realStage(t, nil)
	for _, scene := range []struct {
		name string
		play func(*stage)
	}{
		{"a follower lags", sceneLag},
		{"a follower is cut off", sceneCut},
		{"a session moves", sceneMoved},
		{"the leader stops", sceneLeaderStops}, // and the one who led is another server from here on
		{"the quorum is lost", sceneQuorum},
	} {
		t.Run(scene.name, func(t *testing.T) {
			real.t = t
			play(t, real, scene.play)
		})
	}
}

func sceneLag(s *stage) {
	w := s.must("leader", stageTimeout)
	s.ask(w, request{op: OpCreate, path: "/lag", data: []byte("old"), acl: openACL})
	r := s.must("a", stageTimeout)
	s.ask(r, request{op: OpSync, path: "/lag"})
	s.ask(r, request{op: OpGetData, path: "/lag", watch: true})
	s.lag(s.names["a"], true)
	zxid := s.ask(w, request{op: OpSetData, path: "/lag", data: []byte("new"), version: -1})
	seen := s.ask(r, request{op: OpGetData, path: "/lag"})
	s.log("the reader has an older zxid: %v", seen < zxid)
	_, _, err := s.client("a", stageTimeout, &rawClient{lastZxid: zxid})
	s.log("a client that has seen more is closed: %v", err != nil && !timedOut(err))
	began := time.Now()
	s.ask(r, request{op: OpSync, path: "/lag"})
	s.ask(r, request{op: OpGetData, path: "/lag"})
	seen = s.ask(r, request{op: OpCreate, path: "/lag/child", acl: openACL})
	s.log("own write answered with its own zxid: %v; it waited: %v", seen == zxid+1, time.Since(began) > stageLag/2)
	s.ask(r, request{op: OpExists, path: "/lag/child"})
	s.lag(s.names["a"], false)
	s.ask(r, request{op: OpCloseSession})
	s.end(r)
}

func sceneCut(s *stage) {
	c := s.must("a", 2*time.Second)
	s.ask(c, createRequest("/cut", 1))
	s.ask(c, request{op: OpExists, path: "/cut", watch: true})
	s.cut(s.names["a"], true)
	for range 15 {
		time.Sleep(300 * time.Millisecond)
		s.ask(c, request{op: OpPing})
		s.ask(c, request{op: OpExists, path: "/cut"})
	}
	other := s.must("leader", stageTimeout)
	s.ask(other, request{op: OpExists, path: "/cut"})
	c.begin(s.t, request{op: OpSync, path: "/"})
	s.cut(s.names["a"], false)
	s.end(c)
	_, reply, err := s.client("a", stageTimeout, c)
	s.log("back: %d bytes, %v, %v", len(reply), err, reply[4:16])
}

func sceneMoved(s *stage) {
	old := s.must("a", stageTimeout)
	moved, _, err := s.client("b", stageTimeout, old)
	s.log("the same session: %v, %v", moved.session == old.session, err)
	s.ask(old, request{op: OpExists, path: "/"})
	s.ask(old, createRequest("/moved", 0))
	s.ask(moved, createRequest("/moved", 0))
	s.ask(moved, request{op: OpCloseSession})
	s.end(moved)

	// The leader looks at reads, too.
	for _, r := range []request{{op: OpPing}, {op: OpExists, path: "/"}, {op: OpMultiRead, multi: []request{{op: OpGetData, path: "/"}}}, {op: OpSync, path: "/"}} {
		old := s.must("leader", stageTimeout)
		moved, _, err := s.client("b", stageTimeout, old)
		s.log("the same session: %v, %v", moved.session == old.session, err)
		s.ask(old, r)
		s.ask(moved, r)
	}
}

func sceneLeaderStops(s *stage) {
	c := s.must("a", stageTimeout)
	before := s.ask(c, createRequest("/stops", 1))
	s.log("mode of a: %s, of the leader: %s", s.mode("a"), s.mode("leader"))
	s.stop(s.names["leader"], true)
	s.end(c)
	s.until("a leader", func() bool { return s.mode("a") == "leader" || s.mode("b") == "leader" })
	s.until("two servers", func() bool { return s.mode("a") != "" && s.mode("b") != "" })
	again, _, err := s.client("a", stageTimeout, &rawClient{session: c.session, password: c.password})
	s.log("the same session: %v, %v", again.session == c.session, err)
	s.ask(again, request{op: OpExists, path: "/stops"})
	zxid := s.ask(again, createRequest("/stops-again", 0))
	s.log("epochs later: %d, count %d", zxid>>32-before>>32, zxid&0xffffffff)
	s.stop(s.names["leader"], false)
	s.until("three servers", func() bool { return s.mode("leader") == "follower" }) // again's session may expire
	late := s.must("leader", stageTimeout)
	s.ask(late, request{op: OpExists, path: "/stops-again"})
}

func sceneQuorum(s *stage) {
	lead := "a"
	if s.mode("b") == "leader" {
		lead = "b"
	}
	c := s.must(lead, stageTimeout)
	s.ask(c, createRequest("/quorum", 0))
	for name := range s.names {
		if name != lead {
			s.stop(s.names[name], true)
		}
	}
	s.end(c)
	_, _, err := s.client(lead, stageTimeout, nil)
	s.log("connect is closed: %v", err != nil && !timedOut(err))
	s.log("%q %q %q", s.word(s.names[lead], "srvr"), s.word(s.names[lead], "isro"), s.word(s.names[lead], "ruok"))
}

func TestReadOnlyServerAnswersAsZooKeeper(t *testing.T) {
	real := realStage(t, map[string]string{"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"},
		"-Dreadonlymode.enabled=true")
	play(t, real, sceneReadOnly, WithReadOnly())
}

func sceneReadOnly(s *stage) {
	before := s.must("a", stageTimeout)
	s.ask(before, request{op: OpCreate, path: "/ro", data: []byte("one"), acl: openACL})
	s.ask(before, createRequest("/ro/ephemeral", 1)) // which makes the session one that all servers know
	for _, name := range []string{"leader", "b"} {
		s.stop(s.names[name], true)
	}
	s.end(before)
	s.until("a read-only server", func() bool { return s.mode("a") == "read-only" })
	s.log("isro: %s", s.word(s.names["a"], "isro"))

	connect := func(what string, old *rawClient) *rawClient {
		c, reply, err := s.client("a", stageTimeout, old)
		if err != nil {
			s.log("%s: closed: %v", what, !timedOut(err))
			return nil
		}
		d := &decoder{buf: reply}
		d.int32()
		s.log("%s: %d bytes, timeout %d, session %v, read-only %d", what, len(reply), d.int32(), d.int64() != 0, reply[len(reply)-1])
		return c
	}
	connect("a client that wants to write", nil)
	before.readOnly = true
	connect("the session of before", before)
	connect("a client that has seen more", &rawClient{readOnly: true, lastZxid: 1 << 60})
	c := connect("a read-only client", &rawClient{readOnly: true})
	for _, r := range []request{
		{op: OpPing}, {op: OpExists, path: "/ro", watch: true}, {op: OpGetData, path: "/ro", watch: true},
		{op: OpGetChildren, path: "/ro", watch: true}, {op: OpExists, path: "/none"}, createRequest("/b", 0),
		createRequest("/b", 1), {op: OpCreate2, path: "/b", acl: openACL}, {op: OpSetData, path: "/ro", version: -1},
		{op: OpDelete, path: "/none", version: -1}, {op: OpSetACL, path: "/ro", acl: openACL, version: -1},
		{op: OpMulti, multi: []request{{op: OpCheck, path: "/ro", version: -1}}}, {op: OpSync, path: "/ro"},
		{op: OpMultiRead, multi: []request{{op: OpGetData, path: "/ro"}}}, {op: OpAddWatch, path: "/ro"},
		{op: OpSetWatches, watches: &watchLists{data: []string{"/none", "/ro"}}}, {op: OpGetEphemerals, path: "/"},
		{op: OpGetACL, path: "/ro"}, {op: OpReconfig},
	} {
		s.ask(c, r)
	}
	again := connect("its own session again", c)
	s.end(c)
	wrong := *again
	wrong.password = make([]byte, 16)
	connect("a wrong password", &wrong)
	s.end(again)
	last := connect("another read-only client", &rawClient{readOnly: true})
	s.ask(last, request{op: OpCloseSession})
	s.end(last)
	connect("a session that has ended", last)

	idle := connect("one more", &rawClient{readOnly: true})
	s.stop(s.names["b"], false)
	s.until("a quorum", func() bool { return s.mode("a") == "follower" || s.mode("a") == "leader" })
	s.end(idle)
	connect("the read-only session", idle)
	s.log("the session of before: %v", connect("the session of before", before).session == before.session)
}
