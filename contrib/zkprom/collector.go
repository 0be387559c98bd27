package zkprom

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/zkstream/zkstream"
)

// A Collector collects the metrics of one client. [New] makes it. It is safe for concurrent use.
type Collector struct {
	stats  []stat
	traced traced
	client atomic.Pointer[zkstream.Client] // nil before Observe
}

// New returns a Collector whose metrics have the label client with that value. If it is empty they do not have the label;
// then there can be one Collector in a registry.
func New(client string) *Collector {
	var labels prometheus.Labels
	if client != "" {
		labels = prometheus.Labels{"client": client}
	}
	return &Collector{stats: newStats(labels), traced: newTraced(labels)}
}

// Trace returns what the client is to be connected with, by [zkstream.WithTrace]. The Collector learns by it of calls, failed
// attempts to connect and the like, from the first attempt on.
func (c *Collector) Trace() *zkstream.Trace {
	return &zkstream.Trace{
		Connect:  c.traced.connect,
		Session:  c.traced.session,
		Call:     c.traced.call,
		Resynced: c.traced.resynced,
	}
}

// Observe has the Collector collect the numbers of client's Stats, too. Before that it has only what it
// has learned by Trace, also of a client that cannot connect. The Collector keeps the client until Observe is called with another one,
// or with nil.
func (c *Collector) Observe(client *zkstream.Client) { c.client.Store(client) }

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range c.stats {
		ch <- s.desc
	}
	for _, collector := range c.traced.collectors() {
		collector.Describe(ch)
	}
}

// Collect implements [prometheus.Collector]. It sends no request to a server.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	now := zkstream.Stats{State: zkstream.Connecting}
	if client := c.client.Load(); client != nil {
		now = client.Stats()
	}
	for _, s := range c.stats {
		s.values(now, func(v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(s.desc, s.kind, v, labels...)
		})
	}
	for _, collector := range c.traced.collectors() {
		collector.Collect(ch)
	}
}
