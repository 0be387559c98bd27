// Package zkotel tells OpenTelemetry what a [zkstream.Client] does: metrics, and a span for each call.
//
//	telemetry, err := zkotel.New()
//	if err != nil { ... }
//	client, err := zkstream.Connect(ctx, servers, zkstream.WithTrace(telemetry.Trace()))
//	if err != nil { ... }
//	if err := telemetry.Observe(client); err != nil { ... }
//	defer telemetry.Close()
//
// The names follow OpenTelemetry's semantic conventions for database clients, and where these have none, the namespace
// zookeeper.client. Each client has an [Instrumentation] of its own; [WithAttributes] tells several apart.
//
// # Metrics
//
//	db.client.operation.duration            histogram       s             db.operation.name, error.type, db.response.status_code
//	zookeeper.client.operation.active       updowncounter   {operation}
//	zookeeper.client.operation.retries      counter         {retry}
//	zookeeper.client.update.conflicts       counter         {conflict}    by UpdateProperties
//	zookeeper.client.session.count          updowncounter   {session}     zookeeper.client.session.state
//	zookeeper.client.session.expirations    counter         {session}
//	zookeeper.client.connection.attempts    counter         {attempt}     error.type: resolve, dial, tls, handshake or auth
//	zookeeper.client.connection.losses      counter         {connection}
//	zookeeper.client.network.io             counter         By            network.io.direction
//	zookeeper.client.network.requests       counter         {request}     everything but handshakes and pings
//	zookeeper.client.stream.count           updowncounter   {stream}
//	zookeeper.client.stream.snapshots       counter         {snapshot}
//	zookeeper.client.stream.skips           counter         {snapshot}    replaced before they were received
//	zookeeper.client.watch.count            updowncounter   {watch}       zookeeper.client.watch.kind, zookeeper.client.watch.state
//	zookeeper.client.watch.events           counter         {event}       zookeeper.client.event.type
//	zookeeper.client.watch.reads            counter         {node}        zookeeper.client.watch.kind
//	zookeeper.client.resync.duration        histogram       s
//	zookeeper.client.registration.count     updowncounter   {registration}   zookeeper.client.registration.status
//	zookeeper.client.registration.creates   counter         {registration}
//	zookeeper.client.registration.conflicts counter         {registration}
//
// All have db.system.name, which is zookeeper; the durations of operations also have server.address and server.port. None has a
// path among its attributes, so their number is fixed.
//
// # Spans
//
// Each call of the program, such as Get or Multi, is a span of kind client, below that of the call's context, with the
// attributes of its duration. It ends with an error if the call does. Paths are in spans only by [WithPaths]. What streams and
// registrations do are no spans: it belongs to no call.
package zkotel
