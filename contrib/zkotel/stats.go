package zkotel

import (
	"github.com/zkstream/zkstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
)

// Attributes that the semantic conventions have no names for.
const (
	stateKey  = attribute.Key("zookeeper.client.session.state")
	kindKey   = attribute.Key("zookeeper.client.watch.kind")
	watchKey  = attribute.Key("zookeeper.client.watch.state")
	eventKey  = attribute.Key("zookeeper.client.event.type")
	statusKey = attribute.Key("zookeeper.client.registration.status")
)

// observed is a metric that is taken from a client's Stats.
type observed struct {
	instrument metric.Int64Observable
	// values calls emit for each combination of the metric's attributes.
	values func(s zkstream.Stats, emit func(v int64, attributes ...attribute.KeyValue))
}

// instruments makes them all, and returns the first error.
func (i *Instrumentation) instruments() (err error) {
	type emitter = func(v int64, attributes ...attribute.KeyValue)
	keep := func(instrument metric.Int64Observable, e error, values func(zkstream.Stats, emitter)) {
		if err == nil {
			err = e
		}
		i.observed = append(i.observed, observed{instrument, values})
	}
	counter := func(name, unit, help string, values func(s zkstream.Stats, emit emitter)) {
		c, e := i.meter.Int64ObservableCounter("zookeeper.client."+name, metric.WithUnit(unit), metric.WithDescription(help))
		keep(c, e, values)
	}
	count := func(name, unit, help string, values func(s zkstream.Stats, emit emitter)) {
		c, e := i.meter.Int64ObservableUpDownCounter("zookeeper.client."+name, metric.WithUnit(unit), metric.WithDescription(help))
		keep(c, e, values)
	}
	one := func(value func(s zkstream.Stats) int64) func(zkstream.Stats, emitter) {
		return func(s zkstream.Stats, emit emitter) { emit(value(s)) }
	}

	count("session.count", "{session}", "Whether the session is in this state: 1 or 0.", func(s zkstream.Stats, emit emitter) {
		for state := zkstream.Connecting; state <= zkstream.Closed; state++ {
			is := int64(0)
			if s.State == state {
				is = 1
			}
			emit(is, stateKey.String(state.String()))
		}
	})
	counter("session.expirations", "{session}", "Sessions that have expired.", one(func(s zkstream.Stats) int64 { return s.Expirations }))
	counter("connection.losses", "{connection}", "Connections with a session that were lost.", one(func(s zkstream.Stats) int64 { return s.Disconnects }))
	counter("network.io", "By", "Bytes sent and received.", func(s zkstream.Stats, emit emitter) {
		emit(s.BytesSent, semconv.NetworkIODirectionTransmit)
		emit(s.BytesReceived, semconv.NetworkIODirectionReceive)
	})
	counter("network.requests", "{request}", "Requests sent, without handshakes and pings.", one(func(s zkstream.Stats) int64 { return s.Requests }))

	count("operation.active", "{operation}", "Calls of the program that are under way.", one(func(s zkstream.Stats) int64 { return int64(s.Calls) }))
	counter("operation.retries", "{retry}", "How often calls of the program were tried again.", one(func(s zkstream.Stats) int64 { return s.Retries }))
	counter("update.conflicts", "{conflict}", "Updates of properties that began anew because somebody else's change was faster.",
		one(func(s zkstream.Stats) int64 { return s.UpdateConflicts }))

	count("stream.count", "{stream}", "Streams that are open.", one(func(s zkstream.Stats) int64 { return int64(s.Streams) }))
	counter("stream.snapshots", "{snapshot}", "Snapshots that streams were given.", one(func(s zkstream.Stats) int64 { return s.Snapshots }))
	counter("stream.skips", "{snapshot}", "Snapshots that a newer one replaced before anybody received them.",
		one(func(s zkstream.Stats) int64 { return s.Skipped }))
	count("watch.count", "{watch}", "Nodes that are followed, and watches that are kept for the next stream.", func(s zkstream.Stats, emit emitter) {
		for _, k := range []struct {
			kind string
			zkstream.WatchStats
		}{{"data", s.Data}, {"children", s.Children}, {"presence", s.Presence}} {
			emit(int64(k.Current), kindKey.String(k.kind), watchKey.String("current"))
			emit(int64(k.Stale), kindKey.String(k.kind), watchKey.String("stale"))
			emit(int64(k.Failing), kindKey.String(k.kind), watchKey.String("failing"))
			emit(int64(k.Parked), kindKey.String(k.kind), watchKey.String("parked"))
		}
	})
	counter("watch.events", "{event}", "Watch events received.", func(s zkstream.Stats, emit emitter) {
		emit(s.Events.Created, eventKey.String("created"))
		emit(s.Events.Deleted, eventKey.String("deleted"))
		emit(s.Events.DataChanged, eventKey.String("data_changed"))
		emit(s.Events.ChildrenChanged, eventKey.String("children_changed"))
	})
	counter("watch.reads", "{node}", "Nodes that were read for streams and registrations.", func(s zkstream.Stats, emit emitter) {
		emit(s.Reads.Data, kindKey.String("data"))
		emit(s.Reads.Children, kindKey.String("children"))
		emit(s.Reads.Presence, kindKey.String("presence"))
	})

	count("registration.count", "{registration}", "Registrations that have not ended.", func(s zkstream.Stats, emit emitter) {
		emit(int64(s.Registrations.Pending), statusKey.String(zkstream.Pending.String()))
		emit(int64(s.Registrations.Registered), statusKey.String(zkstream.Registered.String()))
		emit(int64(s.Registrations.Conflict), statusKey.String(zkstream.Conflict.String()))
		emit(int64(s.Registrations.Refused), statusKey.String(zkstream.Refused.String()))
	})
	counter("registration.creates", "{registration}", "Registrations that came into place, each time that one did.",
		one(func(s zkstream.Stats) int64 { return s.Registrations.Placements }))
	counter("registration.conflicts", "{registration}", "Registrations that found a node of somebody else's in their place, each time that one did.",
		one(func(s zkstream.Stats) int64 { return s.Registrations.Conflicts }))

	check := func(e error) {
		if err == nil {
			err = e
		}
	}
	var e error
	i.durations, e = i.meter.Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("How long calls of the program took, with all retries and the wait for a session."),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	check(e)
	i.attempts, e = i.meter.Int64Counter("zookeeper.client.connection.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts to get a session; those that failed have an error.type."))
	check(e)
	i.resyncs, e = i.meter.Float64Histogram("zookeeper.client.resync.duration", metric.WithUnit("s"),
		metric.WithDescription("How long it took from a new connection until all that is followed was current again."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60))
	check(e)
	return err
}
