package zktest_test

import (
	"fmt"
	"log"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkstream/zkstream/zktest"
)

// quiet keeps go-zookeeper's log out of the examples' output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// A server in memory, and a client that reaches it through its dialer. In a test, Start(t) does the same
// and closes the server by itself.
func Example() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn, _, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
		zk.WithDialer(server.DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	if err := server.Create("/config/color", []byte("red")); err != nil {
		log.Fatal(err)
	}
	data, _, changed, err := conn.GetW("/config/color")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)

	server.Set("/config/color", []byte("blue"))
	fmt.Println((<-changed).Type)
	// Output:
	// red
	// EventNodeDataChanged
}

// A real TCP address, for clients that take no dialer.
func ExampleServer_Addr() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn, _, err := zk.Connect([]string{server.Addr()}, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	names, _, err := conn.Children("/")
	fmt.Println(names, err)
	// Output: [zookeeper] <nil>
}

// A session that ends while its client is connected: the ephemeral node is gone, and the client is told.
func ExampleServer_ExpireSession() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn, events, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
		zk.WithDialer(server.DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.Create("/member", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))

	server.ExpireSession(conn.SessionID())
	_, _, err = server.Get("/member")
	fmt.Println(err)
	for event := range events {
		if event.State == zk.StateExpired {
			fmt.Println("expired")
			break
		}
	}
	// Output:
	// zktest: no node (-101)
	// expired
}

// The hard case of every write: the server carries it out, and the answer is lost.
func ExampleServer_Intercept() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn, _, err := zk.Connect([]string{"127.0.0.1:2181"}, 10*time.Second,
		zk.WithDialer(server.DialTimeout), zk.WithLogger(quiet{}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	server.Intercept(func(r zktest.Request) zktest.Fault {
		return zktest.Fault{LoseReply: r.Op == zktest.OpCreate && r.Path == "/order"}
	})
	_, err = conn.Create("/order", []byte("1 coffee"), 0, zk.WorldACL(zk.PermAll))
	fmt.Println(err)
	data, _, err := server.Get("/order")
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// zk: connection closed
	// 1 coffee <nil>
}

// The registration of another server, without another client: it is there as long as its session.
func ExampleServer_Add() {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	other := server.OpenSession(time.Hour)
	for _, n := range []zktest.Node{
		{Path: "/services/10.0.0.2:80", Data: []byte(`{"pid": 7}`), Session: other},
		{Path: "/jobs/job-", Sequence: true},
		{Path: "/secret", ACL: []zktest.ACL{{Perms: 31, Scheme: "ip", ID: "10.0.0.1"}}},
	} {
		if _, err := server.Add(n); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Print(server.Dump("/"))
	server.ExpireSession(other)
	fmt.Print(server.Dump("/services"))
	// Output:
	// /
	// /jobs
	// /jobs/job-0000000000
	// /secret acl ip:10.0.0.1:31
	// /services
	// /services/10.0.0.2:80 "{\"pid\": 7}" ephemeral
	// /services
}
