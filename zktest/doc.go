// Package zktest is a ZooKeeper server in Go, in memory and in the process that uses it. It speaks the
// real wire protocol, so that every client works with it, over TCP or through an in-memory dialer. It
// is a test double: it stores nothing on disk, replicates nothing, and makes no attempt at being fast
// under load. Production runs on ZooKeeper.
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
package zktest
