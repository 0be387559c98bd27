package zkprom_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkprom"
	"github.com/zkstream/zkstream/zktest"
)

// expect compares the metrics that are in want with those of the registry.
func expect(t *testing.T, registry prometheus.Gatherer, want string) {
	t.Helper()
	synctest.Wait()
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(want, -1) {
		names = append(names, m[1])
	}
	// What the help says is not compared.
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		want = strings.Replace(want, "# TYPE "+f.GetName()+" ", "# HELP "+f.GetName()+" "+f.GetHelp()+"\n# TYPE "+f.GetName()+" ", 1)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestCallsAreCountedByWhatCameOfThem(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		ctx := t.Context()
		c.Create(ctx, "/a", nil)
		c.Create(ctx, "/a", nil)
		c.Get(ctx, "/a")
		c.Get(ctx, "/missing")
		c.Delete(ctx, "/missing")
		c.Write(ctx, "/a", nil, 7)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			switch r.Op {
			case zktest.OpGetData:
				return zktest.Fault{Delay: 2 * time.Second}
			case zktest.OpDelete:
				return zktest.Fault{LoseReply: true}
			}
			return zktest.Fault{}
		})
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c.Get(short, "/a")
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		c.Get(canceled, "/a")
		time.Sleep(5 * time.Second)
		c.Delete(ctx, "/a")
		expect(t, registry, `
# TYPE zkstream_requests_total counter
zkstream_requests_total{client="orders",code="ok",op="create"} 1
zkstream_requests_total{client="orders",code="node_exists",op="create"} 1
zkstream_requests_total{client="orders",code="ok",op="get"} 2
zkstream_requests_total{client="orders",code="deadline",op="get"} 1
zkstream_requests_total{client="orders",code="canceled",op="get"} 1
zkstream_requests_total{client="orders",code="no_node",op="delete"} 1
zkstream_requests_total{client="orders",code="unknown",op="delete"} 1
zkstream_requests_total{client="orders",code="bad_version",op="set"} 1
# TYPE zkstream_requests_in_flight gauge
zkstream_requests_in_flight{client="orders"} 0
`)
		durations := histogram(t, registry, "zkstream_request_duration_seconds", "get")
		if n, sum := durations.GetSampleCount(), durations.GetSampleSum(); n != 4 || sum != 1 {
			t.Errorf("%d reads took %vs, want 4 that took 1 s", n, sum)
		}
	})
}

func TestTheSessionAndItsConnectionsAreSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		s := c.Data(t.Context(), "/a")
		<-s.C()
		expect(t, registry, `
# TYPE zkstream_session_state gauge
zkstream_session_state{client="orders",state="connecting"} 0
zkstream_session_state{client="orders",state="connected"} 1
zkstream_session_state{client="orders",state="suspended"} 0
zkstream_session_state{client="orders",state="expired"} 0
zkstream_session_state{client="orders",state="closed"} 0
# TYPE zkstream_session_timeout_seconds gauge
zkstream_session_timeout_seconds{client="orders"} 10
# TYPE zkstream_connects_total counter
zkstream_connects_total{client="orders"} 1
# TYPE zkstream_disconnects_total counter
zkstream_disconnects_total{client="orders"} 0
# TYPE zkstream_suspended_seconds_total counter
zkstream_suspended_seconds_total{client="orders"} 0
`)
		server.Stop(true)
		time.Sleep(30 * time.Second)
		expect(t, registry, `
# TYPE zkstream_session_state gauge
zkstream_session_state{client="orders",state="connecting"} 0
zkstream_session_state{client="orders",state="connected"} 0
zkstream_session_state{client="orders",state="suspended"} 0
zkstream_session_state{client="orders",state="expired"} 1
zkstream_session_state{client="orders",state="closed"} 0
# TYPE zkstream_suspended_seconds_total counter
zkstream_suspended_seconds_total{client="orders"} 30
`)
		server.ExpireAll()
		server.Stop(false)
		time.Sleep(30 * time.Second)
		expect(t, registry, `
# TYPE zkstream_sessions_total counter
zkstream_sessions_total{client="orders"} 2
# TYPE zkstream_session_expirations_total counter
zkstream_session_expirations_total{client="orders"} 1
# TYPE zkstream_connects_total counter
zkstream_connects_total{client="orders"} 2
# TYPE zkstream_disconnects_total counter
zkstream_disconnects_total{client="orders"} 1
`)
		if n := histogram(t, registry, "zkstream_resync_duration_seconds", "").GetSampleCount(); n != 1 {
			t.Errorf("%d resyncs", n)
		}
		if down := value(t, registry, "zkstream_suspended_seconds_total", ""); down < 30 || down > 40 {
			t.Errorf("%v seconds without a connection", down)
		}
		if n := value(t, registry, "zkstream_connect_errors_total", "dial"); n < 5 {
			t.Errorf("%v failed attempts", n)
		}
	})
}

func TestStreamsAndRegistrationsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		ctx := t.Context()
		server.Create("/s", nil)
		server.Create("/s/taken:80", nil)
		children, data := c.Children(ctx, "/s"), c.Data(ctx, "/s")
		<-children.C()
		<-data.C()
		r, err := c.Register(ctx, "/s", "10.0.0.5:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		waits, cancel := context.WithCancel(ctx)
		defer cancel()
		go c.Register(waits, "/s", "taken:80", nil)
		synctest.Wait()
		server.Set("/s", []byte("1"))
		synctest.Wait()
		server.Set("/s", []byte("2"))
		expect(t, registry, `
# TYPE zkstream_streams gauge
zkstream_streams{client="orders"} 2
# TYPE zkstream_watches gauge
zkstream_watches{client="orders",kind="data"} 1
zkstream_watches{client="orders",kind="children"} 1
zkstream_watches{client="orders",kind="presence"} 2
# TYPE zkstream_watches_stale gauge
zkstream_watches_stale{client="orders",kind="data"} 0
zkstream_watches_stale{client="orders",kind="children"} 0
zkstream_watches_stale{client="orders",kind="presence"} 0
# TYPE zkstream_snapshots_total counter
zkstream_snapshots_total{client="orders"} 5
# TYPE zkstream_snapshots_skipped_total counter
zkstream_snapshots_skipped_total{client="orders"} 1
# TYPE zkstream_watch_events_total counter
zkstream_watch_events_total{client="orders",type="created"} 0
zkstream_watch_events_total{client="orders",type="deleted"} 0
zkstream_watch_events_total{client="orders",type="data_changed"} 2
zkstream_watch_events_total{client="orders",type="children_changed"} 1
# TYPE zkstream_registrations gauge
zkstream_registrations{client="orders",status="pending"} 0
zkstream_registrations{client="orders",status="registered"} 1
zkstream_registrations{client="orders",status="conflict"} 1
zkstream_registrations{client="orders",status="refused"} 0
# TYPE zkstream_registration_creates_total counter
zkstream_registration_creates_total{client="orders"} 1
# TYPE zkstream_registration_conflicts_total counter
zkstream_registration_conflicts_total{client="orders"} 1
`)
		data.Close()
		expect(t, registry, `
# TYPE zkstream_watches_parked gauge
zkstream_watches_parked{client="orders",kind="data"} 1
zkstream_watches_parked{client="orders",kind="children"} 0
zkstream_watches_parked{client="orders",kind="presence"} 0
`)
	})
}

// A process that never gets a session is the one whose metrics are looked at.
func TestFailuresAreSeenBeforeTheFirstSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		server.Intercept(func(zktest.Request) zktest.Fault { return zktest.Fault{Drop: true} })
		metrics, registry := zkprom.New(""), prometheus.NewPedanticRegistry()
		registry.MustRegister(metrics)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := zkstream.Connect(ctx, "zktest", zkstream.WithDialer(server.Dial), zkstream.WithTrace(metrics.Trace())); err == nil {
			t.Fatal("connected")
		}
		if n := value(t, registry, "zkstream_connect_errors_total", "handshake"); n < 10 {
			t.Errorf("%v failed handshakes", n)
		}
		if n := value(t, registry, "zkstream_session_state", "connecting"); n != 1 {
			t.Error("the state is another one")
		}
	})
}

func TestSeveralClientsAreToldApart(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, orders *zkstream.Client, registry *prometheus.Registry) {
		users := connect(t, server, registry, "users")
		defer users.Close()
		users.Create(t.Context(), "/u", nil)
		orders.Close()
		synctest.Wait()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if f.GetName() == "zkstream_session_state" && m.GetGauge().GetValue() == 1 {
					got[labels["client"]] = labels["state"]
				}
				if f.GetName() == "zkstream_requests_total" && labels["client"] != "users" {
					t.Errorf("a call of %q", labels["client"])
				}
			}
		}
		if got["orders"] != "closed" || got["users"] != "connected" {
			t.Errorf("states %v", got)
		}
	})
}

func TestTheMetricsAreCleanAndDocumented(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		c.Get(t.Context(), "/")
		problems, err := testutil.GatherAndLint(registry)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			got = append(got, f.GetName()+" "+strings.ToLower(f.GetType().String()))
		}
		text, err := os.ReadFile("doc.go")
		if err != nil {
			t.Fatal(err)
		}
		var documented []string
		for _, m := range regexp.MustCompile(`(?m)^//\t(zkstream_[a-z_]+)\S* +(\w+)`).FindAllStringSubmatch(string(text), -1) {
			documented = append(documented, m[1]+" "+m[2])
		}
		slices.Sort(documented)
		if !slices.Equal(got, documented) {
			t.Errorf("collected\n%q\ndocumented\n%q", got, documented)
		}
	})
}

func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		ctx := t.Context()
		series := func() (n int) {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				n += len(f.GetMetric())
			}
			return n
		}
		code := int32(-200)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op != zktest.OpGetData {
				return zktest.Fault{}
			}
			code--
			return zktest.Fault{Code: zktest.Code(code)} // that nobody knows
		})
		c.Get(ctx, "/0")
		c.Create(ctx, "/s", nil)
		before := series()
		for i := range 100 {
			path := fmt.Sprintf("/s/%d", i)
			c.Get(ctx, path)
			c.Create(ctx, path, nil)
			if _, err := c.Register(ctx, path, fmt.Sprintf("10.0.0.5:%d", i+1), nil); err != nil {
				t.Fatal(err)
			}
			<-c.Children(ctx, path).C()
			server.Disconnect()
			time.Sleep(time.Second)
		}
		if after := series(); after != before {
			t.Errorf("%d series, and %d later", before, after)
		}
		if before > 100 {
			t.Errorf("%d series", before)
		}
	})
}

// What a caller sees of ZooKeeper's refusals has a label of its own.
func TestErrorsHaveLabels(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry) {
		ctx := t.Context()
		server.Create("/a", nil)
		server.Create("/a/b", nil)
		c.Delete(ctx, "/a")
		c.SetACL(ctx, "/a/b", []zk.ACL{}, zkstream.AnyVersion)
		c.CreateNode(ctx, "/ttl", nil, zkstream.TTL(time.Second))
		c.CreateNode(ctx, "/e", nil, zkstream.Ephemeral())
		c.CreateNode(ctx, "/e/f", nil)
		c.Write(ctx, "/a", make([]byte, 2<<20), zkstream.AnyVersion)
		server.SetACL("/a/b", zktest.ACL{Perms: zk.PermRead, Scheme: "world", ID: "anyone"})
		c.Write(ctx, "/a/b", nil, zkstream.AnyVersion)
		c.Close()
		c.Get(ctx, "/a")
		expect(t, registry, `
# TYPE zkstream_requests_total counter
zkstream_requests_total{client="orders",code="not_empty",op="delete"} 1
zkstream_requests_total{client="orders",code="invalid_acl",op="setacl"} 1
zkstream_requests_total{client="orders",code="unimplemented",op="create"} 1
zkstream_requests_total{client="orders",code="ok",op="create"} 1
zkstream_requests_total{client="orders",code="no_children_for_ephemerals",op="create"} 1
zkstream_requests_total{client="orders",code="no_auth",op="set"} 1
zkstream_requests_total{client="orders",code="closed",op="get"} 1
`)
	})
}
