// Package zkprom exports what a [zkstream.Client] does as metrics of Prometheus.
//
//	metrics := zkprom.New("orders")
//	prometheus.MustRegister(metrics)
//	client, err := zkstream.Connect(ctx, servers, zkstream.WithTrace(metrics.Trace()))
//	if err != nil { ... }
//	metrics.Observe(client)
//
// Each client has a [Collector] of its own, which is named by the label client. So several can be in one registry.
//
// # Metrics
//
// The session and its connections:
//
//	zkstream_session_state{state}           gauge      1 for the state that the session is in, else 0
//	zkstream_session_timeout_seconds        gauge      as negotiated
//	zkstream_sessions_total                 counter
//	zkstream_session_expirations_total      counter
//	zkstream_suspended_seconds_total        counter    time without a connection since the first one
//	zkstream_connects_total                 counter    connections with a session
//	zkstream_connect_errors_total{reason}   counter    reason: resolve, dial, tls, handshake, auth
//	zkstream_disconnects_total              counter
//	zkstream_sent_requests_total            counter    everything but handshakes and pings
//	zkstream_sent_bytes_total               counter
//	zkstream_received_bytes_total           counter
//
// Calls of the program, such as Get, Create and Multi:
//
//	zkstream_requests_total{op,code}        counter    code: ok, no_node, bad_version, deadline, unknown and so on
//	zkstream_request_duration_seconds{op}   histogram  with all retries, and the wait for a session
//	zkstream_requests_in_flight             gauge
//	zkstream_request_retries_total          counter
//	zkstream_update_conflicts_total         counter    by UpdateProperties
//
// Streams, and the watches under them:
//
//	zkstream_streams                        gauge
//	zkstream_snapshots_total                counter
//	zkstream_snapshots_skipped_total        counter    replaced before they were received
//	zkstream_watches{kind}                  gauge      nodes that are followed; kind: data, children, presence
//	zkstream_watches_stale{kind}            gauge      of these, those that are being read or set
//	zkstream_watches_failing{kind}          gauge      of these, those that cannot be read for now
//	zkstream_watches_parked{kind}           gauge      kept for the next stream on their node
//	zkstream_watch_events_total{type}       counter    type: created, deleted, data_changed, children_changed
//	zkstream_reads_total{kind}              counter    nodes that were read
//	zkstream_resync_duration_seconds        histogram  from a new connection until all is followed again
//
// Registrations:
//
//	zkstream_registrations{status}          gauge      status: pending, registered, conflict, refused
//	zkstream_registration_creates_total     counter    how often one came into place
//	zkstream_registration_conflicts_total   counter    how often one found a node of somebody else's
//
// No label holds a path, a server or the text of an error, so that the number of series is fixed: some 250, if all kinds of
// calls are made and all kinds of errors occur. The histograms are native ones, too, for servers that scrape these.
//
// The package's folder has alerting rules, alerts.yml, and a dashboard for Grafana, dashboard.json.
package zkprom
