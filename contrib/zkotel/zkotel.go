package zkotel

import (
	"context"
	"net"
	"strconv"
	"sync"

	"github.com/zkstream/zkstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "github.com/zkstream/zkstream/contrib/zkotel"

// An Instrumentation tells OpenTelemetry of one client. [New] makes it. It is safe for concurrent use.
type Instrumentation struct {
	tracer trace.Tracer
	meter  metric.Meter
	paths  bool
	common []attribute.KeyValue // of all spans and metrics

	durations metric.Float64Histogram
	attempts  metric.Int64Counter
	resyncs   metric.Float64Histogram
	observed  []observed

	mu       sync.Mutex // guards what follows
	server   []attribute.KeyValue
	observer metric.Registration // nil before Observe
}

type options struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
	paths   bool
	common  []attribute.KeyValue
}

// An Option changes what [New] makes.
type Option func(*options)

// WithMeterProvider sets where metrics go; the default is OpenTelemetry's global provider.
func WithMeterProvider(p metric.MeterProvider) Option { return func(o *options) { o.meters = p } }

// WithTracerProvider sets where spans go; the default is OpenTelemetry's global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.tracers = p } }

// WithAttributes adds attributes to all spans and metrics: a name, if there are several clients, or the chroot as db.namespace.
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return func(o *options) { o.common = append(o.common, attributes...) }
}

// WithPaths has spans tell the path of the node, in their names and as the attribute zookeeper.path. There may be as
// many paths as nodes, and they may hold what should not be in traces. Metrics never have them.
func WithPaths() Option { return func(o *options) { o.paths = true } }

// New returns an Instrumentation. The error is that of the meter provider.
func New(opts ...Option) (*Instrumentation, error) {
	o := options{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider()}
	for _, opt := range opts {
		opt(&o)
	}
	i := &Instrumentation{
		tracer: o.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		meter:  o.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)),
		paths:  o.paths,
		common: append([]attribute.KeyValue{semconv.DBSystemNameKey.String("zookeeper")}, o.common...),
	}
	if err := i.instruments(); err != nil {
		return nil, err
	}
	return i, nil
}

// Trace returns what the client is to be connected with, by [zkstream.WithTrace]. The Instrumentation learns by it of calls and
// attempts to connect, from the first on.
func (i *Instrumentation) Trace() *zkstream.Trace {
	return &zkstream.Trace{
		Connect:  i.connect,
		Session:  i.session,
		Call:     i.call,
		Resynced: i.resynced,
	}
}

// Observe adds the metrics that are taken from client's Stats whenever they are collected. It replaces a client that was observed
// before.
func (i *Instrumentation) Observe(client *zkstream.Client) error {
	if err := i.Close(); err != nil {
		return err
	}
	instruments := make([]metric.Observable, len(i.observed))
	for n, o := range i.observed {
		instruments[n] = o.instrument
	}
	registration, err := i.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		now := client.Stats()
		for _, o := range i.observed {
			o.values(now, func(v int64, attributes ...attribute.KeyValue) {
				to.ObserveInt64(o.instrument, v, metric.WithAttributes(append(attributes, i.common...)...))
			})
		}
		return nil
	}, instruments...)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.observer = registration
	return nil
}

// Close ends what Observe has begun. The client goes on, and so do the metrics and spans of its calls.
func (i *Instrumentation) Close() error {
	i.mu.Lock()
	registration := i.observer
	i.observer = nil
	i.mu.Unlock()
	if registration == nil {
		return nil
	}
	return registration.Unregister()
}

// session notes which server is in use.
func (i *Instrumentation) session(s zkstream.Session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.server = nil
	if host, port, err := net.SplitHostPort(s.Server); err == nil {
		i.server = append(i.server, semconv.ServerAddress(host))
		if n, err := strconv.Atoi(port); err == nil {
			i.server = append(i.server, semconv.ServerPort(n))
		}
	}
}
