package zkprom

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/zkstream/zkstream"
)

// traced are the metrics that a client's trace tells.
type traced struct {
	connectErrors *prometheus.CounterVec
	requests      *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	resyncs       prometheus.Histogram
	suspended     prometheus.CounterFunc
	outage        *outage
}

func newTraced(labels prometheus.Labels) traced {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "zkstream", Name: name, Help: help, ConstLabels: labels}
	}
	histogram := func(name, help string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{
			Namespace: "zkstream", Name: name, Help: help, ConstLabels: labels, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}
	}
	t := traced{
		connectErrors: prometheus.NewCounterVec(
			counter("connect_errors_total", "Attempts to get a session that failed, by how far they came."), []string{"reason"}),
		requests: prometheus.NewCounterVec(
			counter("requests_total", "Calls of the program, by what came of them."), []string{"op", "code"}),
		durations: prometheus.NewHistogramVec(histogram("request_duration_seconds",
			"How long calls of the program took, with all retries and the wait for a session.",
			0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10), []string{"op"}),
		resyncs: prometheus.NewHistogram(histogram("resync_duration_seconds",
			"How long it took from a new connection until all that is followed was current again.",
			0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)),
		outage: &outage{},
	}
	t.suspended = prometheus.NewCounterFunc(
		counter("suspended_seconds_total", "Time without a connection since the first one."), t.outage.seconds)
	for _, stage := range []string{"resolve", "dial", "tls", "handshake", "auth"} {
		t.connectErrors.WithLabelValues(stage) // so that each begins at 0, and its first growth can be seen
	}
	return t
}

func (t *traced) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.connectErrors, t.requests, t.durations, t.resyncs, t.suspended}
}

func (t *traced) connect(a zkstream.ConnectTrace) {
	if a.Stage != "" {
		t.connectErrors.WithLabelValues(a.Stage).Inc()
	}
}

func (t *traced) session(s zkstream.Session) { t.outage.session(s.State, time.Now()) }

func (t *traced) resynced(r zkstream.ResyncTrace) { t.resyncs.Observe(r.Took.Seconds()) }

func (t *traced) call(ctx context.Context, call zkstream.CallTrace) {
	t.requests.WithLabelValues(call.Op, code(ctx, call.Err)).Inc()
	t.durations.WithLabelValues(call.Op).Observe(call.Took.Seconds())
}

// codes are the errors that have a label of their own. The first that is inside an error counts.
var codes = []struct {
	err  error
	code string
}{
	{zkstream.ErrUnknown, "unknown"},
	{zk.ErrNoNode, "no_node"},
	{zk.ErrNodeExists, "node_exists"},
	{zk.ErrBadVersion, "bad_version"},
	{zk.ErrNotEmpty, "not_empty"},
	{zk.ErrNoAuth, "no_auth"},
	{zk.ErrAuthFailed, "auth_failed"},
	{zk.ErrInvalidACL, "invalid_acl"},
	{zk.ErrNoChildrenForEphemerals, "no_children_for_ephemerals"},
	{zkstream.ErrQuotaExceeded, "quota_exceeded"},
	{zkstream.ErrTooLarge, "too_large"},
	{zkstream.ErrUnimplemented, "unimplemented"},
	{zkstream.ErrClosed, "closed"},
}

// code returns the label for what a call returns. There are as many as codes has, and five more.
func code(ctx context.Context, err error) string {
	if err == nil {
		return "ok"
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, context.Canceled) || ctx.Err() != nil:
		return "canceled"
	}
	return "other"
}

// An outage counts the time for which a client has been without a connection.
type outage struct {
	mu    sync.Mutex // guards what follows
	total time.Duration
	since time.Time // zero while there is a connection, and before the first
}

// session notes a state of the session that begins now.
func (o *outage) session(state zkstream.SessionState, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	down := state == zkstream.Suspended || state == zkstream.Expired
	switch {
	case down && o.since.IsZero():
		o.since = now
	case !down && !o.since.IsZero():
		o.total += now.Sub(o.since)
		o.since = time.Time{}
	}
}

func (o *outage) seconds() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	total := o.total
	if !o.since.IsZero() {
		total += time.Since(o.since)
	}
	return total.Seconds()
}
