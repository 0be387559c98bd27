package rules_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkprom"
	"github.com/zkstream/zkstream/zktest"
)

// interval is how often the metrics are scraped.
const interval = 15 * time.Second

// A world is a client whose metrics are scraped, in virtual time.
type world struct {
	server   *zktest.Server
	client   *zkstream.Client
	registry *prometheus.Registry
	scrapes  int
	store    store
}

// live has a client live through what scenario does, and returns it with what was scraped.
func live(t *testing.T, scenario func(t *testing.T, w *world)) (w *world) {
	synctest.Test(t, func(t *testing.T) {
		w = &world{server: zktest.Start(t), registry: prometheus.NewRegistry(), store: store{}}
		metrics := zkprom.New("orders")
		w.registry.MustRegister(metrics)
		var err error
		w.client, err = zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(w.server.Dial), zkstream.WithTrace(metrics.Trace()))
		if err != nil {
			t.Fatal(err)
		}
		defer w.client.Close()
		metrics.Observe(w.client)
		w.pass(t, 10*time.Minute)
		scenario(t, w)
	})
	return w
}

// pass lets time pass, and scrapes.
func (w *world) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for range d / interval {
		time.Sleep(interval)
		families, err := w.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		at := w.now().UnixMilli()
		for _, f := range families {
			for _, m := range f.GetMetric() {
				add := func(suffix string, v float64, more ...string) {
					l := labels.NewBuilder(labels.FromStrings(append(more, "job", "shop", "instance", "10.0.0.5:80")...))
					for _, pair := range m.GetLabel() {
						l.Set(pair.GetName(), pair.GetValue())
					}
					w.store.add(l.Set(labels.MetricName, f.GetName()+suffix).Labels(), at, v)
				}
				switch h := m.GetHistogram(); h {
				case nil:
					add("", m.GetCounter().GetValue()+m.GetGauge().GetValue())
				default:
					for _, b := range h.GetBucket() {
						add("_bucket", float64(b.GetCumulativeCount()), "le", fmt.Sprint(b.GetUpperBound()))
					}
					add("_bucket", float64(h.GetSampleCount()), "le", "+Inf")
					add("_sum", h.GetSampleSum())
					add("_count", float64(h.GetSampleCount()))
				}
			}
		}
		w.scrapes++
	}
}

// now is the time of the next scrape.
func (w *world) now() time.Time { return time.Unix(0, 0).Add(time.Duration(w.scrapes) * interval) }

// firing returns the alerts that have fired at any time in w, sorted.
func firing(t *testing.T, w *world, rules []rulefmt.Rule) []string {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute})
	defer engine.Close()
	fired := map[string]bool{}
	for _, rule := range rules {
		query, err := engine.NewRangeQuery(t.Context(), w.store.queryable(), nil, rule.Expr, time.Unix(0, 0), w.now(), interval)
		if err != nil {
			t.Fatalf("%s: %v", rule.Alert, err)
		}
		matrix, err := query.Exec(t.Context()).Matrix()
		if err != nil {
			t.Fatalf("%s: %v", rule.Alert, err)
		}
		for _, series := range matrix {
			if client := series.Metric.Get("client"); client != "orders" {
				t.Errorf("%s is about client %q", rule.Alert, client)
			}
			// It fires if it has held for that long at each evaluation.
			var since, last int64
			for i, p := range series.Floats {
				if i == 0 || p.T-last > interval.Milliseconds() {
					since = p.T
				}
				if last = p.T; time.Duration(last-since)*time.Millisecond >= time.Duration(rule.For) {
					fired[rule.Alert] = true
				}
			}
		}
		query.Close()
	}
	return slices.Sorted(maps.Keys(fired))
}

func readRules(t *testing.T) (rules []rulefmt.Rule) {
	t.Helper()
	text, err := os.ReadFile("../alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false)
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		t.FailNow()
	}
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}
