// Package zkstream turns ZooKeeper into typed streams, for services that live on it: register a server,
// find the servers of a service, read and edit a service's configuration. All three stay right through
// disconnects, session expiry and server failure, without help.
//
//	client, err := zkstream.Connect(ctx, "zk1,zk2,zk3/app")
//	if err != nil { ... }
//	defer client.Close()
//
//	_, err = client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil)
//
//	providers := client.Children(ctx, "/search/providers")
//	config := client.Properties(ctx, "/search")
//	for {
//		select {
//		case p, ok := <-providers.C():
//			if !ok { return providers.Err() }
//			balancer.Use(p.Names())
//		case c, ok := <-config.C():
//			if !ok { return config.Err() }
//			threads, err := zkstream.Value[int](c, "threads")
//			...
//		}
//	}
//
// # What a stream promises
//
//   - First snapshot: each stream delivers one snapshot as soon as its node has been read. A node that
//     does not exist is a snapshot, too, whose Exists is false; it is not an error.
//   - Latest wins: the channel holds one snapshot, the newest. A consumer that is slow, or absent, blocks
//     neither the client nor another stream; it skips to the newest state.
//   - Convergence: once changes stop and a server can be reached, the last snapshot delivered is the
//     server's state, whatever happened in between: lost connections and changes meanwhile, expiry, nodes
//     deleted and created again, lost replies, an ensemble that lost its data.
//   - No going back: no stream delivers a state older than one that it has delivered, within a session
//     or from one session to the next.
//   - No noise: of two snapshots in a row, one is newer by ZooKeeper's count (zxid). A reconnect in which
//     nothing changed delivers nothing; a node that was deleted and created again with the same content
//     has changed.
//   - A reason for every end: a stream ends when its context is cancelled, by Close, when its client
//     closes, or on an error that retrying cannot mend, such as a missing permission. Then its channel is
//     closed and Err says why. A lost connection ends nothing.
//   - Nothing left behind: when [Client.Close] returns, no goroutine, socket, timer or session of the
//     client is left. When a stream ends, nothing of it is left but at most one watch, which ZooKeeper
//     clients cannot take back; the next stream on the node uses it.
//
// One limit is ZooKeeper's: since version 3.8.4 it hides all events of a node from those who may not
// read it. A stream on a node that becomes unreadable learns so at the first reconnect after the node has
// changed once more.
//
// # How it works
//
// A client has one connection and one supervisor, which keeps a table of watches: one for each node and
// kind (content, or children), whatever the number of streams. The event of a watch has the node read
// again, once, with the watch set in the same request, and the snapshot goes to all its streams. Streams
// cost memory but no goroutines. After a reconnect each watched node's zxids are compared, and what has
// changed is read; after a new session the server is first brought up to date with the leader, then
// everything is read again. Nothing rests on a watch's event alone.
package zkstream
