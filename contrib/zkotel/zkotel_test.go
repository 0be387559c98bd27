package zkotel_test

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

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkotel"
	"github.com/zkstream/zkstream/zktest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a client that is watched.
type world struct {
	server    *zktest.Server
	client    *zkstream.Client
	telemetry *zkotel.Instrumentation
	reader    *metric.ManualReader
	spans     *tracetest.SpanRecorder
	tracer    oteltrace.Tracer
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w *world), opts ...zkotel.Option) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{server: zktest.Start(t), reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
		tracers := trace.NewTracerProvider(trace.WithSpanProcessor(w.spans))
		w.tracer = tracers.Tracer("test")
		var err error
		w.telemetry, err = zkotel.New(append(opts, zkotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(w.reader))),
			zkotel.WithTracerProvider(tracers))...)
		if err != nil {
			t.Fatal(err)
		}
		w.client, err = zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(w.server.Dial), zkstream.WithTrace(w.telemetry.Trace()))
		if err != nil {
			t.Fatal(err)
		}
		defer w.client.Close()
		if err := w.telemetry.Observe(w.client); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		if err := w.telemetry.Close(); err != nil {
			t.Error(err)
		}
	})
}

// text returns attributes in a line, without those that all have here.
func text(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		switch kv.Key {
		case "db.system.name", "server.address", "server.port":
		default:
			parts = append(parts, fmt.Sprintf("%s=%s", kv.Key[strings.LastIndex(string(kv.Key), ".")+1:], kv.Value.String()))
		}
	}
	return strings.Join(parts, " ")
}

// collect returns the values of all metrics: of a histogram the count and the sum.
func (w *world) collect(t *testing.T) map[string]string {
	t.Helper()
	synctest.Wait()
	var all metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					got[strings.TrimSpace(m.Name+" "+text(p.Attributes))] = fmt.Sprint(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					got[strings.TrimSpace(m.Name+" "+text(p.Attributes))] = fmt.Sprintf("%d %g", p.Count, p.Sum)
				}
			default:
				t.Fatalf("%s is %T", m.Name, data)
			}
		}
	}
	return got
}

func (w *world) expect(t *testing.T, when string, want map[string]string) {
	t.Helper()
	got := w.collect(t)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %s is %q, want %q", when, key, got[key], value)
		}
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.client
		c.Create(ctx, "/s", nil)
		c.Get(ctx, "/s")
		c.Delete(ctx, "/missing")
		s := c.Data(ctx, "/s")
		<-s.C()
		r, err := c.Register(ctx, "/s", "10.0.0.5:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		synctest.Wait()
		w.server.Set("/s", []byte("1"))
		synctest.Wait()
		w.server.Set("/s", []byte("2"))
		w.expect(t, "connected", map[string]string{
			"db.client.operation.duration name=create":                                    "1 0",
			"db.client.operation.duration name=getData":                                   "1 0",
			"db.client.operation.duration name=delete status_code=NONODE type=NONODE":     "1 0",
			"zookeeper.client.operation.active":                                           "0",
			"zookeeper.client.session.count state=connected":                              "1",
			"zookeeper.client.session.count state=suspended":                              "0",
			"zookeeper.client.connection.attempts":                                        "1",
			"zookeeper.client.stream.count":                                               "1",
			"zookeeper.client.stream.snapshots":                                           "3",
			"zookeeper.client.stream.skips":                                               "1",
			"zookeeper.client.watch.count kind=data state=current":                        "1",
			"zookeeper.client.watch.count kind=presence state=current":                    "1",
			"zookeeper.client.watch.events type=data_changed":                             "2",
			"zookeeper.client.watch.reads kind=data":                                      "3",
			"zookeeper.client.registration.count status=registered":                       "1",
			"zookeeper.client.registration.creates":                                       "1",
			"zookeeper.client.registration.conflicts":                                     "0",
			"zookeeper.client.session.expirations":                                        "0",
			"zookeeper.client.update.conflicts":                                           "0",
			"zookeeper.client.operation.retries":                                          "0",
			"db.client.operation.duration name=delete status_code=BADVERSION type=NONODE": "",
		})
		w.server.Stop(true)
		time.Sleep(30 * time.Second)
		w.server.ExpireAll()
		w.server.Stop(false)
		time.Sleep(30 * time.Second)
		w.expect(t, "after an outage", map[string]string{
			"zookeeper.client.session.expirations":                  "1",
			"zookeeper.client.connection.losses":                    "1",
			"zookeeper.client.connection.attempts":                  "3", // at first, a session that is over, and a new one
			"zookeeper.client.registration.creates":                 "2",
			"zookeeper.client.registration.count status=registered": "1",
			"zookeeper.client.resync.duration":                      "1 0",
		})
		if n := w.collect(t)["zookeeper.client.connection.attempts type=dial"]; len(n) < 2 {
			t.Errorf("failed attempts: %q", n)
		}
	})
}

func TestTheMetricsAreDocumented(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.client.Get(t.Context(), "/")
		<-w.client.Data(t.Context(), "/").C()
		w.server.Disconnect()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		var all metricdata.ResourceMetrics
		if err := w.reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all.ScopeMetrics[0].Metrics {
			kind := "histogram"
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && sum.IsMonotonic {
				kind = "counter"
			} else if ok {
				kind = "updowncounter"
			}
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
			got = append(got, m.Name+" "+kind+" "+m.Unit)
		}
		doc, err := os.ReadFile("doc.go")
		if err != nil {
			t.Fatal(err)
		}
		var documented []string
		for _, m := range regexp.MustCompile(`(?m)^//\t([a-z_]+(?:\.[a-z_]+)+) +(\w+) +(\S+)`).FindAllStringSubmatch(string(doc), -1) {
			documented = append(documented, m[1]+" "+m[2]+" "+m[3])
		}
		slices.Sort(got)
		slices.Sort(documented)
		if !slices.Equal(got, documented) {
			t.Errorf("collected\n%q\ndocumented\n%q", got, documented)
		}
	})
}

func TestEachCallIsASpanBelowItsCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.server.Create("/orders", nil)
		w.server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpGetData {
				return zktest.Fault{Delay: 2 * time.Second}
			}
			return zktest.Fault{}
		})
		ctx, parent := w.tracer.Start(t.Context(), "request")
		began := time.Now()
		w.client.Get(ctx, "/orders")
		w.client.Delete(ctx, "/secret")
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		w.client.Get(short, "/orders")
		parent.End()

		spans := w.spans.Ended()
		if len(spans) != 4 {
			t.Fatalf("%d spans", len(spans))
		}
		for i, want := range []struct {
			name, attributes, description string
			status                        codes.Code
			took                          time.Duration
		}{
			{"getData", "name=getData", "", codes.Unset, 2 * time.Second},
			{"delete", "name=delete status_code=NONODE type=NONODE", "NONODE", codes.Error, 0},
			{"getData", "name=getData type=deadline_exceeded", "deadline_exceeded", codes.Error, time.Second},
		} {
			s := spans[i]
			set := attribute.NewSet(s.Attributes()...)
			if s.Name() != want.name || text(set) != want.attributes || s.Status() != (trace.Status{Code: want.status, Description: want.description}) ||
				s.EndTime().Sub(s.StartTime()) != want.took || s.SpanKind() != oteltrace.SpanKindClient ||
				s.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("span %d: %s with %s, %+v, took %v, %v", i, s.Name(), text(set), s.Status(), s.EndTime().Sub(s.StartTime()), s.SpanKind())
			}
			address, _ := set.Value("server.address")
			port, _ := set.Value("server.port")
			system, _ := set.Value("db.system.name")
			if address.AsString() != "zktest" || port.AsInt64() != 2181 || system.AsString() != "zookeeper" {
				t.Errorf("span %d: %v", i, s.Attributes())
			}
			if all := fmt.Sprint(s.Attributes(), s.Status()); strings.Contains(all, "orders") || strings.Contains(all, "secret") {
				t.Errorf("span %d has a path: %s", i, all)
			}
		}
		if spans[0].StartTime() != began {
			t.Errorf("began %v, want %v", spans[0].StartTime(), began)
		}
	})
}

func TestPathsAndNamesAreThereWhenAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.client.Delete(t.Context(), "/a/b")
		s := w.spans.Ended()[0]
		if want := `zkstream: delete "/a/b": zk: node does not exist`; s.Name() != "delete /a/b" || s.Status().Description != want {
			t.Errorf("%s, %s", s.Name(), s.Status().Description)
		}
		if got, want := text(attribute.NewSet(s.Attributes()...)), "namespace=/shop name=delete status_code=NONODE type=NONODE path=/a/b"; got != want {
			t.Errorf("attributes %s, want %s", got, want)
		}
		for key := range w.collect(t) {
			if strings.Contains(key, "/a/b") || !strings.Contains(key, "namespace=/shop") {
				t.Errorf("metric %s", key)
			}
		}
	}, zkotel.WithPaths(), zkotel.WithAttributes(attribute.String("db.namespace", "/shop")))
}

func TestTheNumberOfSeriesIsFixed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.client.Create(ctx, "/s", nil)
		w.client.Get(ctx, "/s")
		before := len(w.collect(t))
		for i := range 100 {
			path := fmt.Sprintf("/s/%d", i)
			w.client.Create(ctx, path, nil)
			w.client.Get(ctx, path)
			<-w.client.Data(ctx, path).C()
		}
		if after := len(w.collect(t)); after != before {
			t.Errorf("%d series, and %d later", before, after)
		}
	})
}

func TestAfterCloseNothingIsObserved(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		if err := w.telemetry.Close(); err != nil {
			t.Fatal(err)
		}
		if got, ok := w.collect(t)["zookeeper.client.stream.count"]; ok {
			t.Errorf("observed: %s", got)
		}
		if err := w.telemetry.Observe(w.client); err != nil {
			t.Fatal(err)
		}
		if err := w.telemetry.Observe(w.client); err != nil { // again: not twice
			t.Fatal(err)
		}
		w.expect(t, "observed again", map[string]string{"zookeeper.client.session.count state=connected": "1"})
	})
}
