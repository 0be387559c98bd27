package zktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// TestRequestsBesideAnotherClientsAreAnsweredAsOnZooKeeper sends what a program sends that shares a connection
// with a client library: requests with negative xids of its own, many at once. The answers are the same bytes, as the
// servers are new and neither tells of a time.
func TestRequestsBesideAnotherClientsAreAnsweredAsOnZooKeeper(t *testing.T) {
	version := realVersion(t)
	e := ensemble.Start(t, 1)
	s := Start(t, WithTickTime(200*time.Millisecond), WithVersion(version))
	read := func(op Op, path string) request { return request{op: op, path: path, watch: true} }
	zookeeper := []string{"/zookeeper"}
	requests := []struct {
		xid int32
		r   request
	}{
		{-1001, request{op: OpMultiRead}},
		{-1002, request{op: OpMultiRead, multi: []request{read(OpGetData, "/zookeeper"), read(OpGetChildren, "/missing"), read(OpGetChildren, "/zookeeper/quota")}}},
		{-1003, request{op: OpMultiRead, multi: []request{read(OpGetData, "/zookeeper"), read(OpGetChildren2, "/zookeeper")}}},
		{-1004, request{op: OpMultiRead, multi: []request{read(OpExists, "/zookeeper")}}},
		{-1005, request{op: OpMultiRead, multi: []request{{op: OpCheck, path: "/zookeeper", version: 0}}}},
		{-1006, request{op: OpMulti}},
		{-1007, request{op: OpSetWatches, watches: &watchLists{relativeZxid: math.MaxInt64, data: []string{"/missing", "/zookeeper"}, exist: zookeeper, child: zookeeper}}},
		{-1008, request{op: OpSetWatches2, watches: &watchLists{data: zookeeper, exist: []string{"/missing"}, persistent: zookeeper, recursive: []string{"/"}}}},
		{-1009, request{op: OpAddWatch, path: "/missing", mode: 1}},
		{-1010, request{op: OpAddWatch, path: "/zookeeper", mode: 2}},
		{-1011, request{op: OpCheckWatches, path: "/missing", mode: 3}},
		{-1012, request{op: OpRemoveWatches, path: "/zookeeper", mode: 2}},
		{-1013, request{op: OpRemoveWatches, path: "/zookeeper", mode: 2}},
		{-1014, request{op: OpRemoveWatches, path: "/never", mode: 3}},
		{-1015, request{op: OpGetAllChildrenNumber, path: "/zookeeper"}},
		{-1016, request{op: OpGetEphemerals, path: "/"}},
		{-1017, request{op: OpWhoAmI}},
		{-8, request{op: OpSetWatches, watches: &watchLists{}}},
		{math.MinInt32, read(OpExists, "/missing")},
		{-1, read(OpExists, "/zookeeper")},
		{0, read(OpGetData, "/zookeeper")},
		{-1018, request{op: OpSync, path: "/"}},
	}
	last := frames(packet(-1019, 99, request{path: "/"})) // on the real server it would overtake the others
	answers := map[string][]string{}
	for name, addr := range map[string]string{"real": e.Servers()[0].Addr(), "zktest": s.Addr()} {
		c := rawTCP(t, addr)
		if _, err := c.handshake(2*time.Second, false); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, q := range requests {
			all = append(all, frames(packet(q.xid, q.r.op, q.r))...)
		}
		if _, err := c.nc.Write(all); err != nil {
			t.Fatal(err)
		}
		for {
			frame, err := c.readFrame()
			if err != nil {
				if timedOut(err) {
					t.Fatalf("%s: the connection is open", name)
				}
				break
			}
			xid := int32(binary.BigEndian.Uint32(frame))
			answers[name] = append(answers[name], fmt.Sprintf("xid %d: %x", xid, frame))
			if xid == -1018 {
				if _, err := c.nc.Write(last); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	want, got := answers["real"], answers["zktest"]
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			t.Errorf("real   %s\n\tzktest %s", w, g)
		}
	}
}

// Requests with an xid that is not positive do not count as outstanding on the real server, and nothing holds them up
// here before their answers fill the client's share of memory.
func TestManyRequestsAtOnceAreAllAnswered(t *testing.T) {
	const many = 5000
	c := rawSession(t, Start(t), time.Minute)
	var all bytes.Buffer
	for i := range int32(many) {
		all.Write(frames(packet(-1001-i, OpExists, request{path: "/zookeeper"})))
	}
	if _, err := c.nc.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
	for i := range int32(many) {
		frame, err := c.readFrame()
		if err != nil || int32(binary.BigEndian.Uint32(frame)) != -1001-i {
			t.Fatalf("answer %d: %x, %v", i, frame, err)
		}
	}
}
