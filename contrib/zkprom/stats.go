package zkprom

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/zkstream/zkstream"
)

// A stat is a metric that is taken from a client's Stats.
type stat struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	// values calls emit for each combination of the metric's labels.
	values func(s zkstream.Stats, emit func(v float64, labels ...string))
}

// newStats returns all of them, with constant labels.
func newStats(labels prometheus.Labels) (stats []stat) {
	add := func(kind prometheus.ValueType, name, help, label string, values func(s zkstream.Stats, emit func(v float64, labels ...string))) {
		var variable []string
		if label != "" {
			variable = []string{label}
		}
		stats = append(stats, stat{prometheus.NewDesc("zkstream_"+name, help, variable, labels), kind, values})
	}
	one := func(kind prometheus.ValueType, name, help string, value func(s zkstream.Stats) float64) {
		add(kind, name, help, "", func(s zkstream.Stats, emit func(float64, ...string)) { emit(value(s)) })
	}
	counter := func(name, help string, value func(s zkstream.Stats) int64) {
		one(prometheus.CounterValue, name, help, func(s zkstream.Stats) float64 { return float64(value(s)) })
	}
	watches := func(name, help string, value func(w zkstream.WatchStats) int) {
		add(prometheus.GaugeValue, name, help, "kind", func(s zkstream.Stats, emit func(float64, ...string)) {
			emit(float64(value(s.Data)), "data")
			emit(float64(value(s.Children)), "children")
			emit(float64(value(s.Presence)), "presence")
		})
	}

	add(prometheus.GaugeValue, "session_state", "Whether the session is in this state: 1 or 0.", "state",
		func(s zkstream.Stats, emit func(float64, ...string)) {
			for state := zkstream.Connecting; state <= zkstream.Closed; state++ {
				is := 0.0
				if s.State == state {
					is = 1
				}
				emit(is, state.String())
			}
		})
	one(prometheus.GaugeValue, "session_timeout_seconds", "Session timeout, as negotiated with the server.",
		func(s zkstream.Stats) float64 { return s.Timeout.Seconds() })
	counter("sessions_total", "Sessions that there have been.", func(s zkstream.Stats) int64 { return s.Sessions })
	counter("session_expirations_total", "Sessions that have expired.", func(s zkstream.Stats) int64 { return s.Expirations })
	counter("connects_total", "Connections on which there was a session.", func(s zkstream.Stats) int64 { return s.Connects })
	counter("disconnects_total", "Connections with a session that were lost.", func(s zkstream.Stats) int64 { return s.Disconnects })
	counter("sent_requests_total", "Requests sent, those of streams and registrations included, without handshakes and pings.",
		func(s zkstream.Stats) int64 { return s.Requests })
	counter("sent_bytes_total", "Bytes sent.", func(s zkstream.Stats) int64 { return s.BytesSent })
	counter("received_bytes_total", "Bytes received.", func(s zkstream.Stats) int64 { return s.BytesReceived })

	one(prometheus.GaugeValue, "requests_in_flight", "Calls of the program that are under way.",
		func(s zkstream.Stats) float64 { return float64(s.Calls) })
	counter("request_retries_total", "Calls of the program that were tried again, each time that one was.",
		func(s zkstream.Stats) int64 { return s.Retries })
	counter("update_conflicts_total", "Updates of properties that began anew because somebody else's change was faster.",
		func(s zkstream.Stats) int64 { return s.UpdateConflicts })

	one(prometheus.GaugeValue, "streams", "Streams that are open.", func(s zkstream.Stats) float64 { return float64(s.Streams) })
	counter("snapshots_total", "Snapshots that streams were given.", func(s zkstream.Stats) int64 { return s.Snapshots })
	counter("snapshots_skipped_total", "Snapshots that a newer one replaced before anybody received them.",
		func(s zkstream.Stats) int64 { return s.Skipped })
	watches("watches", "Nodes that streams and registrations follow.",
		func(w zkstream.WatchStats) int { return w.Current + w.Stale + w.Failing })
	watches("watches_stale", "Nodes that are followed and are being read, or wait for it.", func(w zkstream.WatchStats) int { return w.Stale })
	watches("watches_failing", "Nodes that are followed and cannot be read for now.", func(w zkstream.WatchStats) int { return w.Failing })
	watches("watches_parked", "Watches without streams, kept for the next one on their node.", func(w zkstream.WatchStats) int { return w.Parked })
	add(prometheus.CounterValue, "watch_events_total", "Watch events received.", "type",
		func(s zkstream.Stats, emit func(float64, ...string)) {
			emit(float64(s.Events.Created), "created")
			emit(float64(s.Events.Deleted), "deleted")
			emit(float64(s.Events.DataChanged), "data_changed")
			emit(float64(s.Events.ChildrenChanged), "children_changed")
		})
	add(prometheus.CounterValue, "reads_total", "Nodes that were read for streams and registrations.", "kind",
		func(s zkstream.Stats, emit func(float64, ...string)) {
			emit(float64(s.Reads.Data), "data")
			emit(float64(s.Reads.Children), "children")
			emit(float64(s.Reads.Presence), "presence")
		})

	add(prometheus.GaugeValue, "registrations", "Registrations that have not ended.", "status",
		func(s zkstream.Stats, emit func(float64, ...string)) {
			emit(float64(s.Registrations.Pending), zkstream.Pending.String())
			emit(float64(s.Registrations.Registered), zkstream.Registered.String())
			emit(float64(s.Registrations.Conflict), zkstream.Conflict.String())
			emit(float64(s.Registrations.Refused), zkstream.Refused.String())
		})
	counter("registration_creates_total", "Registrations that came into place, each time that one did.",
		func(s zkstream.Stats) int64 { return s.Registrations.Placements })
	counter("registration_conflicts_total", "Registrations that found a node of somebody else's in their place, each time that one did.",
		func(s zkstream.Stats) int64 { return s.Registrations.Conflicts })
	return stats
}
