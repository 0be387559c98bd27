package zkprom_test

import (
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkprom"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test in virtual time, with a server and a client whose metrics are in registry.
func inBubble(t *testing.T, test func(t *testing.T, server *zktest.Server, c *zkstream.Client, registry *prometheus.Registry)) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		registry := prometheus.NewPedanticRegistry()
		c := connect(t, server, registry, "orders")
		defer c.Close()
		test(t, server, c, registry)
	})
}

func connect(t *testing.T, server *zktest.Server, registry *prometheus.Registry, name string) *zkstream.Client {
	t.Helper()
	metrics := zkprom.New(name)
	registry.MustRegister(metrics)
	c, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial), zkstream.WithTrace(metrics.Trace()))
	if err != nil {
		t.Fatal(err)
	}
	metrics.Observe(c)
	return c
}

// metric returns the metric of that name that has a label of that value, or its only one.
func metric(t *testing.T, registry prometheus.Gatherer, name, label string) *dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := label == ""
			for _, l := range m.GetLabel() {
				has = has || l.GetValue() == label
			}
			if f.GetName() == name && has {
				return m
			}
		}
	}
	t.Fatalf("no %s of %q", name, label)
	return nil
}

func histogram(t *testing.T, registry prometheus.Gatherer, name, label string) *dto.Histogram {
	t.Helper()
	return metric(t, registry, name, label).GetHistogram()
}

// value returns the value of a counter or gauge.
func value(t *testing.T, registry prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	m := metric(t, registry, name, label)
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}
