// Package zktest is a ZooKeeper server in Go, in memory and in the process that uses it. It speaks the
// real wire protocol, so that every client works with it, over TCP or through an in-memory dialer. It
// is a test double: it stores nothing on disk, and makes no attempt at being fast under load. Production runs on
// ZooKeeper.
//
//	func TestMine(t *testing.T) {
//		server := zktest.Start(t)
//		conn, events, err := zk.Connect([]string{server.Addr()}, 10*time.Second)
//		...
//		server.Disconnect() // and see what your code does
//	}
//
// For programs in other languages, cmd/zktest serves it on a port:
//
//	go run github.com/zkstream/zkstream/cmd/zktest -addr 127.0.0.1:2181
//
// # What can go wrong
//
// [Server.Disconnect], [Server.Partition], [Server.Freeze], [Server.Restart], [Server.Wipe] and [Server.ExpireSession] are
// faults of the server or its network. [Server.Intercept] sees each request and decides what goes wrong with it: it can be
// delayed, answered with any error code, dropped, or carried out and never answered. A [Dialer] is one client's own way to
// the servers, by which that client is cut off alone. [StartEnsemble] makes several servers with one history, which can be
// cut off from one another and fall behind.
//
// What other clients do needs no second client: [Server.Set], [Server.Delete], [Server.SetACL] and [Server.Add] change
// nodes, Add with an owner, an ACL or a number; [Server.Dump] writes the tree down to compare with. [Server.Journal] tells
// what has been carried out.
//
// # Ensembles
//
// [StartEnsemble] makes servers that share one history. One of them leads; the others follow it.
//
//	ensemble := zktest.StartEnsemble(t, 3)
//	conn, events, err := zk.Connect(ensemble.DialAddrs(), 10*time.Second, zk.WithDialer(ensemble.DialTimeout))
//	...
//	ensemble.Leader().Stop(true)          // the others elect another leader
//	ensemble.Followers()[0].Hold(true)    // shows an older state from now on
//
// Each member is a [Server] with the faults of one. Besides, [Server.Stop] ends its process and starts it again,
// [Server.Isolate] cuts it off from the other members, and [Server.Lag] and [Server.Hold] have it fall behind. What
// clients see of that is what they see of a real ensemble, with which it is compared:
//
//   - A write or a sync goes through the leader, and the client's own server answers when it has applied it. So
//     do new sessions. A read is answered from the state of the client's server, which may be an older one.
//   - A client that has seen a later zxid than the server is closed without an answer.
//   - Watches fire when the client's server applies the change.
//   - Sessions are known to all members, and a client may come back at any. The old connection may go on reading
//     at a follower; a write through it ends it. The leader ends it at its next request of any kind.
//   - Only the leader lets sessions expire. Of clients of other members it knows by their reports, so an isolated
//     member goes on answering pings and reads of clients whose sessions have expired. After the sync limit
//     ([WithSyncLimit]) it drops its clients.
//   - A leader without a majority acknowledges nothing, and steps down when the sync limit has passed, or at once when the
//     others have stopped. 200 ms later those who can reach one another elect the one with the longest history. Its
//     zxids begin with a new epoch, and each session has its whole timeout again.
//   - A server without a leader closes connections at their first bytes. With [WithReadOnly] it serves read-only
//     clients after 2 s.
//
// It differs in that nothing takes time that no fault asks for: a message between members arrives at once, a follower
// without a lag applies a transaction in the instant in which it is committed, and an election takes 200 ms. A server that is stopped is
// missed at once, one that hangs or is isolated after exactly the sync limit. A write that the leader cannot have
// acknowledged waits and is dropped with its connection; in the real world it may yet be carried out, if that leader is elected
// again. A follower's answers wait for its lag, and so do the requests behind them on the same
// connection, pings included, which do not keep the session alive meanwhile. Observers, weights, groups and
// reconfiguration are not there, and with WithReadOnly only the sessions of read-only servers are local ones.
//
// # What it does as the real server does
//
// Answers, error codes, stats, zxids, sequence numbers, watch events and their order are those of the
// ZooKeeper that [WithVersion] names, with which it is compared operation by operation in this package's tests. So is
// the way in which connections end. Sessions expire, containers and TTL nodes are swept, ACLs are enforced, and digest
// authentication works.
// Served are connect, ping, create (also create2, containers and TTL nodes), delete, exists, getData,
// setData, getACL, setACL, getChildren, getChildren2, getAllChildrenNumber, getEphemerals, sync,
// multi with check, multiRead, setWatches, setWatches2, addWatch, checkWatches, removeWatches, auth,
// whoAmI and closeSession, and the four-letter words. What is not served answers Unimplemented, is
// logged, and ends the connection, as in the real server.
//
// What a ZooKeeper refuses that has been installed and not configured is refused here, too: TTL nodes, unless
// [WithExtendedTypes] allows them, and requests of more than a megabyte, or of what [WithMaxBuffer] says: their
// connection ends without a word. Session timeouts are clamped ([WithSessionTimeouts]). Only when asked to does the server
// enforce quotas ([WithQuotas]), demand authentication ([WithRequiredAuth]), or keep four-letter words to itself
// ([WithFourLetterWords]).
//
// # Where it differs
//
//   - A session expires when its timeout has passed; the real server rounds up to the next tick.
//   - Lists of children and of ephemeral nodes come sorted; the real server's have the order of a Java
//     hash set. The same goes for the order in which a dying session's nodes are deleted, and for the
//     identities that the ACL scheme "auth" stands for.
//   - Reconfig is refused. /zookeeper/config is empty, and [Server.Set] can write what a client is to read there.
//   - There is no SASL, no super user, and no limit of connections per address (maxClientCnxns). The ACL
//     schemes are world, auth, digest and ip, without x509.
//   - All four-letter words are answered unless [WithFourLetterWords] says otherwise; the real server's default is
//     srvr alone. mntr has the figures that monitoring asks for, a fraction of the real one's; conf and
//     dirs have no directories to tell of.
//   - The server does not throttle, nor does it answer with the codes of its own failures. Intercept does that.
//   - Requests that crash the real server (createTTL with flags that do not ask for a TTL) are answered
//     with ErrBadArguments. Statistics of a quota that somebody has overwritten with nonsense are left alone.
//   - A client that reads no answers has its requests held back, and one that reads no events is cut off
//     when 64 MiB of them wait; the real server has other limits.
//
// # Versions
//
// The server is the newest ZooKeeper 3.8 unless [WithVersion] says otherwise. 3.8 and 3.9 are compared with the
// real ones, and the differences of older ones are taken from their source. What differs:
//
//   - 3.5 has no multiRead, setWatches2, addWatch, getEphemerals and getAllChildrenNumber, 3.6 no whoAmI:
//     they are answered with Unimplemented and the connection ends; the session lives on.
//   - From 3.8 on a watch event goes only to who may read the node; the watch is used up all the same. (Upstream
//     began that with 3.8.4 and 3.9.2, Debian with its 3.8.0.) The events with which setWatches catches up are
//     for everybody.
//   - From 3.8.4 and 3.9.2 on exists is answered with NoAuth to who may not read the node. Before, it asked for no
//     permission.
//   - From 3.7.2 and 3.8.2 on a create2 within a multi is answered with a stat.
//   - From 3.9 on the header of a watch event has the zxid of the change; it was -1 before and still is in those
//     with which setWatches catches up.
//   - From 3.9 on a connection can watch one path in several modes at once, and removeWatches and checkWatches
//     can tell them apart (types 4 and 5). Before, a new watch on a path changed the mode of the old one, and
//     checkWatches found anybody's.
//   - From 3.9 on a write that cannot be decoded takes no zxid, and any client may send deleteContainer; from 3.9.4
//     on ACLs of the scheme ip take IPv6 addresses; from 3.8.5 and 3.9.3 on check is refused outside of a multi.
//
// # Time
//
// Time is that of package time. Inside a testing/synctest bubble it is virtual: make the server in the
// bubble, have clients connect through Dial, and sessions expire in no real time. A server starts no
// timers of its own but for sessions that may expire, nodes that may have to be swept, and members of an ensemble that
// miss one another.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := zktest.Start(t)
//		conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
//			zk.WithDialer(server.DialTimeout)) // an IP address: names would be looked up in real time
//		...
//		defer conn.Close()
//		server.Partition(true)
//		time.Sleep(time.Minute) // takes no time, and the session has expired
//	})
//
// Three mistakes are common. The server must have been made in the bubble: Dial panics otherwise. Addr, which listens on
// TCP, panics in a bubble. And all clients have to be closed before the bubble ends, or synctest panics with
// "deadlock", because their goroutines still wait.
//
// go-zookeeper's errors and Stat need no conversion by hand: errors.Is(err, zk.ErrNoNode) holds for what a Server's
// methods return, and zk.Stat(stat) compiles.
//
// # Reading the code
//
// A server is a member of an ensemble; [Start] makes an ensemble of one. In this order the files tell how it works:
//
//	server.go ensemble.go whole.go option.go version.go      what there is: servers, and what binds them together
//	conn.go pipe.go bubble.go handshake.go                   a connection, from its first bytes to its last
//	jute.go request.go opcode.go code.go                     what is on the wire
//	serve.go read.go watch.go acl.go path.go                 a request and its answer
//	txn.go change.go tree.go quota.go journal.go             a write: checked, turned into changes, applied
//	session.go tracker.go clock.go                           what happens by itself
//	history.go election.go member.go readonly.go             members: how a write reaches them, who leads, what goes wrong
//	fault.go dialer.go                                       what else goes wrong
//	direct.go node.go plant.go stats.go words.go             what tests and tools ask and do without a client
//
// One mutex, the ensemble's, guards all state of all members. Each connection has two goroutines, one that reads and
// serves and one that writes, and each ensemble has one for all that happens by itself (clock.go).
package zktest
