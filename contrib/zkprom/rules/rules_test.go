package rules_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/zkstream/zkstream/zktest"
)

// Each alert fires in a world in which what it is about happens, and no other one does; in a healthy world none does.
func TestEachAlertFiresWhenItShould(t *testing.T) {
	rules := readRules(t)
	register := func(t *testing.T, w *world) {
		if _, err := w.client.Register(t.Context(), "/s", "10.0.0.5:80", nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		scenario func(t *testing.T, w *world)
		want     []string
	}{
		"healthy": {func(t *testing.T, w *world) {
			register(t, w)
			for s := w.client.Data(t.Context(), "/s"); w.scrapes < 160; w.pass(t, interval) {
				<-s.C()
				w.server.Set("/s", fmt.Append(nil, w.scrapes))
				w.client.Get(t.Context(), "/missing")
			}
			w.server.Disconnect() // now and then
			w.pass(t, 10*time.Minute)
			w.server.Restart()
			w.pass(t, 10*time.Minute)
			w.server.ExpireAll()
			w.pass(t, 20*time.Minute)
		}, nil},
		"no server": {func(t *testing.T, w *world) {
			register(t, w)
			w.server.Stop(true)
			w.pass(t, 5*time.Minute)
		}, []string{"ZkstreamNoSession", "ZkstreamRegistrationMissing"}},
		"sessions expire": {func(t *testing.T, w *world) {
			for range 3 {
				w.server.ExpireAll()
				w.pass(t, 3*time.Minute)
			}
		}, []string{"ZkstreamSessionsExpire"}},
		"connections are lost": {func(t *testing.T, w *world) {
			for range 12 {
				w.server.Disconnect()
				w.pass(t, 30*time.Second)
			}
		}, []string{"ZkstreamConnectionFlaps"}},
		"a registration is deleted and refused": {func(t *testing.T, w *world) {
			register(t, w)
			w.pass(t, time.Minute)
			w.server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpCreate {
					return zktest.Fault{Code: zktest.ErrQuotaExceeded}
				}
				return zktest.Fault{}
			})
			w.server.Delete("/s/10.0.0.5:80")
			w.pass(t, 5*time.Minute)
		}, []string{"ZkstreamRegistrationMissing"}},
		"a node cannot be read": {func(t *testing.T, w *world) {
			w.server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpGetData {
					return zktest.Fault{Code: zktest.ErrSystem}
				}
				return zktest.Fault{}
			})
			w.client.Data(t.Context(), "/a")
			w.pass(t, 10*time.Minute)
		}, []string{"ZkstreamWatchesFailing"}},
		"reads take long": {func(t *testing.T, w *world) {
			w.server.Create("/a", nil)
			w.client.Data(t.Context(), "/a")
			w.pass(t, time.Minute)
			w.server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpGetData {
					return zktest.Fault{Delay: 3 * time.Second}
				}
				return zktest.Fault{}
			})
			done := make(chan struct{})
			defer close(done)
			changes := time.NewTicker(time.Second)
			go func() {
				for {
					select {
					case <-changes.C:
						w.server.Set("/a", nil)
					case <-done:
						return
					}
				}
			}()
			w.pass(t, 10*time.Minute)
		}, []string{"ZkstreamNotCurrent"}},
		"a slow consumer": {func(t *testing.T, w *world) {
			s := w.client.Data(t.Context(), "/a")
			<-s.C()
			w.server.Create("/a", nil)
			for i := range 30 * 60 / 15 {
				for j := range 60 {
					w.server.Set("/a", fmt.Append(nil, i, j))
					time.Sleep(time.Millisecond)
				}
				w.pass(t, interval)
			}
		}, []string{"ZkstreamSlowConsumer"}},
		"calls time out": {func(t *testing.T, w *world) {
			var slow atomic.Bool
			slow.Store(true)
			w.server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpGetData && slow.Load() {
					return zktest.Fault{Delay: time.Second}
				}
				return zktest.Fault{}
			})
			for range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				w.client.Get(ctx, "/")
				cancel()
				w.pass(t, interval)
			}
			slow.Store(false)
		}, []string{"ZkstreamRequestsFail"}},
	} {
		t.Run(name, func(t *testing.T) {
			fired := firing(t, live(t, test.scenario), rules)
			if !slices.Equal(fired, test.want) {
				t.Errorf("fired %v, want %v", fired, test.want)
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		for _, r := range rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%+v lacks something", r)
			}
		}
	})
}

// used returns the names of the metrics in an expression.
func used(t *testing.T, expr string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}

// What the rules and the dashboard ask for is what a client has, and the dashboard shows all of that.
func TestTheRulesAndTheDashboardUseMetricsThatThereAre(t *testing.T) {
	w := live(t, func(t *testing.T, w *world) {
		w.client.Get(t.Context(), "/")
		w.pass(t, interval)
	})
	there := map[string]bool{} // and whether the dashboard shows it
	for _, s := range w.store {
		there[s.labels.Get(labels.MetricName)] = false
	}
	check := func(where, expr string) (names []string) {
		names = used(t, expr)
		for _, name := range names {
			if _, ok := there[name]; !ok {
				t.Errorf("%s: no metric is called %s", where, name)
			}
		}
		return names
	}
	for _, r := range readRules(t) {
		check(r.Alert, r.Expr)
	}

	text, err := os.ReadFile("../dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			Title, Type string
			ID          int
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", "shop", "$instance", ".*", "$client", "orders")
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: ID %d, position %+v", p.Title, p.ID, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range check(p.Title, variables.Replace(target.Expr)) {
				there[name] = true
			}
		}
	}
	for name, shown := range there {
		part := strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") // of a histogram
		switch {
		case part, shown, slices.Contains([]string{"zkstream_session_timeout_seconds", "zkstream_sessions_total", "zkstream_connects_total"}, name):
		default:
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}
