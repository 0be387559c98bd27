// Package zkdebug shows people what a running program does with ZooKeeper: its session, what it watches and how far its own
// consumers are behind, what it registers, its servers and their failures, and what has happened last. It is an
// [http.Handler], as net/http/pprof has them, that gives a page and the same as JSON.
//
//	var recorder zkdebug.Recorder
//	client, err := zkstream.Connect(ctx, "zk1,zk2,zk3", zkstream.WithTrace(recorder.Trace()))
//	if err != nil { ... }
//	mux.Handle("/debug/zkstream", recorder.Handler(client))
//
// Without a Recorder, [Handler] shows all but what has happened:
//
//	mux.Handle("/debug/zkstream", zkdebug.Handler(client))
//
// Importing the package registers nothing. The handler looks at no path: it may stand under any prefix, in any router and
// behind any middleware, with or without [http.StripPrefix]. A program with several clients gives each a handler.
//
// # What it shows, and to whom
//
// There are neither credentials on it nor the content of any node. But there are paths, addresses, session
// IDs and errors. So it belongs where the program's profiles are, behind the same door: a port for operators, or a
// middleware that knows who asks. It changes nothing, sends nothing to ZooKeeper, and answers GET and HEAD only.
//
// The page is plain HTML, without scripts. These parameters of the query change what it has:
//
//   - format=json gives JSON.
//   - q=TEXT leaves only the watches and registrations in whose path TEXT is.
//   - page=N gives the next watches or registrations, 200 of each on a page. JSON has all of them.
//   - refresh=N has the browser load the page again every N seconds.
//
// # The JSON
//
// It is an object with these members. Times are RFC 3339, durations are in seconds, session IDs and zxids are strings in
// hexadecimal. Members may be added.
//
//   - time: when it was made.
//   - session: state, id, server, timeout, and since, which is when the state began; null without a Recorder.
//   - stats: the numbers of [zkstream.Stats], by their Go names.
//   - watches: path, kind, state, nodes, zxid, streams, behind, lag and waiting, as in [zkstream.WatchInfo].
//   - registrations: path, addr, status and error, as in [zkstream.RegistrationInfo].
//   - servers: server, connects, failures, error and at, the last failure and its time. This and what follows is a Recorder's.
//   - events: at, kind ("connect", "session" or "resync"), text and error; the newest first, 100 at most.
//   - calls, and failed, which has only those that failed: at, op, path, took and error; the newest first, 100 at most.
package zkdebug
