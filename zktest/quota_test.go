package zktest

import (
	"testing"
	"time"
)

var enforcedQuotas = setting{map[string]string{"enforceQuota": "true"}, WithQuotas()}

// Quotas are compared at random, too: what is refused, and what stands in the statistics.
func TestQuotasAreKeptAsOnZooKeeper(t *testing.T) {
	t.Parallel()
	startPair(t, extendedTypes, enforcedQuotas).random(t, 3, quotaSteps)
}

func TestQuotasAreCountedAsOnZooKeeper(t *testing.T) {
	t.Parallel()
	startPair(t, extendedTypes).random(t, 10, quotaSteps)
}

var (
	quotaPaths  = []string{"/zookeeper/quota~/a", "/zookeeper/quota~/a/x", "/zookeeper/quota~/b", "/zookeeper/quota~"}
	quotaLimits = []string{
		"count=3,bytes=-1", "count=-1,bytes=10", "count=-1,bytes=-1=;countHardLimit=2", "count=-1,bytes=-1=;byteHardLimit=6",
		"count=5,bytes=100=;byteHardLimit=20;countHardLimit=4", "countHardLimit=1", "byteHardLimit=0", "count=0,bytes=0", "",
		"countHardLimit=3;byteHardLimit=", "garbage", "count=", ",count=1", "countHardLimit=x", "count=1;;countHardLimit=2", "countHardLimit=+2",
	}
)

// quotaSteps makes sequences in which quotas come, change and go under which nodes are made, set and deleted.
func quotaSteps(data []byte) []step {
	c := &choices{data}
	steps := []step{}
	for _, path := range []string{"~/a", "~/a/x", "~/b", "/zookeeper/quota~", "/zookeeper/quota~/a", "/zookeeper/quota~/b", "/zookeeper/quota~/a/x"} {
		steps = append(steps, step{req: request{op: OpCreate, path: path, acl: openACL}})
	}
	for len(c.data) > 0 && len(steps) < maxSteps {
		if c.below(3) > 0 {
			steps = append(steps, c.step())
			continue
		}
		r := request{op: OpCreate, path: pick(c, quotaPaths) + "/" + limitsName, acl: openACL, data: []byte(pick(c, quotaLimits)), version: -1}
		stats := r
		stats.path, stats.data = stats.path[:len(stats.path)-len(limitsName)]+statsName, []byte("count=0,bytes=0")
		switch c.below(6) {
		case 0, 1: // as setquota of the real command line does it
			steps = append(steps, step{req: r}, step{req: stats})
			continue
		case 2:
			r.op = OpSetData
		case 3:
			r.op = OpDelete
		case 4:
			stats.op = OpDelete
			steps = append(steps, step{req: stats})
			continue
		case 5:
			m := request{op: OpMulti, multi: []request{r, stats}}
			for range c.below(4) {
				m.multi = append(m.multi, c.simple(pick(c, []Op{OpCreate, OpDelete, OpSetData})))
			}
			r = m
		}
		steps = append(steps, step{req: r})
		for _, path := range quotaPaths[:3] {
			steps = append(steps, step{req: request{op: OpGetData, path: path + "/" + statsName}})
		}
	}
	for _, path := range quotaPaths[:3] {
		steps = append(steps, step{req: request{op: OpGetData, path: path + "/" + statsName}})
	}
	return steps
}

func TestAHardLimitRefusesWhatWouldBreakIt(t *testing.T) {
	s := Start(t, WithQuotas())
	for _, n := range [][2]string{
		{"/a", "12345"},
		{quotaRoot + "/a/" + limitsName, "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3"},
		{quotaRoot + "/a/" + statsName, ""},
	} {
		if err := s.Create(n[0], []byte(n[1])); err != nil {
			t.Fatal(err)
		}
	}
	c := rawSession(t, s, time.Minute)
	stats := func(want string) {
		t.Helper()
		if data, _, err := s.Get(quotaRoot + "/a/" + statsName); err != nil || string(data) != want {
			t.Fatalf("%q, %v", data, err)
		}
	}
	refused := func(r request) {
		t.Helper()
		if code, _ := c.must(t, r); code != ErrQuotaExceeded {
			t.Fatalf("%v: %v", r, code)
		}
	}
	stats("count=1,bytes=5")
	refused(request{op: OpSetData, path: "/a", data: []byte("12345678901"), version: -1})
	c.ok(t, request{op: OpSetData, path: "/a", data: []byte("1234567890"), version: -1})
	refused(request{op: OpCreate, path: "/a/b", data: []byte("x"), acl: openACL})
	c.ok(t, createRequest("/a/b", 0))
	c.ok(t, createRequest("/a/c", 0))
	refused(createRequest("/a/d", 0))
	stats("count=3,bytes=10")
	c.ok(t, request{op: OpDelete, path: "/a/b", version: -1})
	// Each operation of a multi is measured by itself.
	c.ok(t, request{op: OpMulti, multi: []request{createRequest("/a/1", 0), createRequest("/a/2", 0)}})
	stats("count=4,bytes=10")
	// What is undone leaves no trace.
	c.ok(t, request{op: OpMulti, multi: []request{{op: OpDelete, path: "/a/1", version: -1}, {op: OpCheck, path: "/a", version: 99}}})
	stats("count=4,bytes=10")
	if err := s.Create("/a/mine", nil); err != nil { // the Server's own methods are not refused anything
		t.Fatal(err)
	}
	stats("count=5,bytes=10")

	if _, err := New(WithQuotas(), WithVersion("3.6")); err == nil {
		t.Error("3.6 keeps quotas")
	}
}
