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
// # What it does as the real server does
//
// Answers, error codes, stats, zxids, sequence numbers, watch events and their order are those of
// ZooKeeper 3.8, with which it is compared operation by operation in this package's tests, or of the version
// that WithVersion names. Sessions
// expire, containers and TTL nodes are swept (the latter need WithExtendedTypes), ACLs are enforced, and digest authentication works.
// Served are connect, ping, create (also create2, containers and TTL nodes), delete, exists, getData,
// setData, getACL, setACL, getChildren, getChildren2, getAllChildrenNumber, getEphemerals, sync,
// multi with check, multiRead, setWatches, setWatches2, addWatch, checkWatches, removeWatches, auth,
// whoAmI and closeSession, and the four-letter words. What is not served answers Unimplemented, is
// logged, and ends the connection, as in the real server.
//
// # Where it differs
//
//   - A session expires when its timeout has passed; the real server rounds up to the next tick.
//   - Lists of children and of ephemeral nodes come sorted; the real server's have the order of a Java
//     hash set. The same goes for the order in which a dying session's nodes are deleted, and for the
//     identities that the ACL scheme "auth" stands for.
//   - Quotas are not kept, reconfig is refused, there is no SASL and no super user. The ACL schemes are
//     world, auth, digest and ip.
//   - Requests that crash the real server (createTTL with flags that do not ask for a TTL) are answered
//     with ErrBadArguments.
//   - A client that reads no answers has its requests held back, and one that reads no events is cut off
//     when 64 MiB of them wait; the real server has other limits.
//
// # Versions
//
// The server is the newest ZooKeeper 3.8 unless WithVersion says otherwise. 3.8 and 3.9 are compared with the
// real ones. What differs:
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
// timers of its own but for sessions that may expire and nodes that may have to be swept.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := zktest.Start(t)
//		conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
//			zk.WithDialer(server.DialTimeout)) // an IP address: names would be looked up in real time
//		...
//		server.Partition(true)
//		time.Sleep(time.Minute) // takes no time, and the session has expired
//	})
package zktest
