package zktest_test

import (
	"fmt"
	"log"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkstream/zkstream/zktest"
)

// connectTo gives a connection to one server of an ensemble, once it has a session.
func connectTo(server *zktest.Server, timeout time.Duration) *zk.Conn {
	conn, events, err := zk.Connect([]string{server.DialAddr()}, timeout, zk.WithDialer(server.DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	for event := range events {
		if event.State == zk.StateHasSession {
			break
		}
	}
	return conn
}

// A client that reads from a follower may see an older state than one that reads from the leader, until it asks for
// a sync.
func ExampleServer_Hold() {
	ensemble, err := zktest.NewEnsemble(3)
	if err != nil {
		log.Fatal(err)
	}
	defer ensemble.Close()
	ensemble.Create("/color", []byte("red"))

	follower := ensemble.Followers()[0]
	conn := connectTo(follower, 10*time.Second)
	defer conn.Close()

	follower.Hold(true)
	ensemble.Set("/color", []byte("blue"))
	data, _, err := conn.Get("/color")
	fmt.Printf("%s %v\n", data, err)

	follower.Hold(false)
	conn.Sync("/color")
	data, _, err = conn.Get("/color")
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// red <nil>
	// blue <nil>
}

// The servers elect another leader, and the client's session goes on.
func ExampleEnsemble_Leader() {
	ensemble, err := zktest.NewEnsemble(3)
	if err != nil {
		log.Fatal(err)
	}
	defer ensemble.Close()
	conn, _, err := zk.Connect(ensemble.DialAddrs(), 10*time.Second, zk.WithDialer(ensemble.DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.Create("/member", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	session := conn.SessionID()

	old := ensemble.Leader()
	old.Stop(true)
	for {
		_, stat, err := conn.Exists("/member")
		if err == nil {
			fmt.Println(stat.EphemeralOwner == session)
			break
		}
	}
	fmt.Println(ensemble.Leader() == old)
	// Output:
	// true
	// false
}

// One client is cut off, whatever its session, while the others are not.
func ExampleDialer() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
		zk.WithDialer(server.Dialer("worker").DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	other := connectTo(server, 10*time.Second)
	defer other.Close()
	conn.Create("/worker", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))

	server.Dialer("worker").Partition(true)
	for event := range events {
		if event.State == zk.StateDisconnected {
			break
		}
	}
	server.ExpireSession(conn.SessionID())
	exists, _, err := other.Exists("/worker")
	fmt.Println(exists, err)
	// Output: false <nil>
}
