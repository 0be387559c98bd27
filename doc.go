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
//     client is left. When a stream ends, nothing of it is left but at most one watch, without content, which
//     the next stream on the node uses. A client keeps 1,024 of these; the oldest are taken back from the
//     server, or forgotten where it is older than ZooKeeper 3.6.
//   - Nothing rests on an event: ZooKeeper hides the event of a change from those who may not read the node at
//     that moment, and something on the way may swallow one. Such a change is delivered all the same, on a
//     connection that is never lost, too: within 30 seconds (see [WithRecheck]), or one second for each 256
//     watches where that is longer.
//   - A set is complete: a stream of many nodes ([Client.Instances], [Client.Tree]) delivers its first snapshot when all
//     of them have been read. A node that vanishes meanwhile is no error, and one that may not be read is marked in
//     the snapshot and ends nothing. Each node in it keeps what is said above.
//
// # What calls promise
//
// A write says what has become of it: it was carried out exactly once; or it was not carried out, and the error
// says why; or errors.Is(err, [ErrUnknown]), since the connection was lost while it was under way and nobody can
// know. It never undoes a later write of somebody else's.
//
// # What there is
//
// [Client.Children], [Client.Data] and [Client.Properties] stream one node; [Client.Instances] the children of a node with their
// content; [Client.Tree] all nodes below a path; [Client.Session] the state of the session. [Map], [Filter], [Distinct],
// [Settle], [Merge], [Combine], [Switch], [Decode] and [Generate] make streams of streams.
//
// [Client.Register] keeps an ephemeral node in place for as long as its context lasts.
//
// Calls go to the server once, with a context: [Client.Get], [Client.List], [Client.GetTree],
// [Client.ACL] and [Client.Sync] read;
// [Client.Create], [Client.CreateNode], [Client.Write], [Client.SetProperties], [Client.UpdateProperties], [Client.Delete],
// [Client.DeleteNode], [Client.SetACL] and [Client.Multi] write.
//
// [Client.Stats] has numbers about all this, and [WithTrace] calls functions as things happen. The modules contrib/zkprom
// and contrib/zkotel make metrics and spans of them; package zkdebug shows them as a page.
//
// # How it works
//
// A client has one connection, and a table of watches: one for each node and kind (content, or children),
// whatever the number of streams on it. Streams cost memory but no goroutines. The connection is
// go-zookeeper's, but streams and calls read and write by requests of this package's own among those of
// go-zookeeper, so that their answers are handled in the order in which the server has sent them, by the
// goroutine that receives, and it is known of each write whether it has left. An event makes a watch stale. Before that goroutine waits for more, it asks for all
// that is stale: for a few nodes one by one, with the watch set in the same request; for many in batches, whose
// watches are set afterwards, as of the answer's zxid. What an answer shows is compared with what was read
// before, and what is new goes to the watch's streams.
//
// On a new connection in the same session, all watches are set again by naming the last zxid that was seen, and
// the server sends events for just those nodes that have changed since. In a new session the server is first brought up
// to date with the leader, then everything is read again, and its content decides what is new. Now and then the
// watches that have been quiet are set once more, as of the zxid at which each was last known to be right: so
// the server finds what their events have missed.
//
// ZooKeeper 3.5 has no batches, and some other servers cannot set watches again; that is found out, and then
// nodes are read one by one.
package zkstream
