package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// open starts a server in this process and connects to it.
func open(opts ...zkstream.Option) (ctx context.Context, client *zkstream.Client, end func()) {
	server, _ := zktest.New(zktest.WithExtendedTypes())
	ctx = context.Background()
	client, err := zkstream.Connect(ctx, server.Addr(), opts...)
	if err != nil {
		panic(err)
	}
	return ctx, client, func() { client.Close(); server.Close() }
}

func ExampleClient_Get() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/motd", []byte("hello"))

	d, err := client.Get(ctx, "/motd")
	fmt.Println(d, d.Stat().Version, err)
	d, err = client.Get(ctx, "/missing")
	fmt.Println(d.Exists(), err)
	// Output:
	// hello 0 <nil>
	// false <nil>
}

func ExampleData_Properties() {
	ctx, client, end := open()
	defer end()
	client.Create(ctx, "/search", map[string]any{"threads": 8})

	d, _ := client.Get(ctx, "/search")
	threads, _ := zkstream.Value[int](d.Properties(), "threads")
	fmt.Println(threads)
	// Output: 8
}

func ExampleClient_List() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/search/providers/10.0.0.5:8080", nil, zkstream.Parents())

	children, err := client.List(ctx, "/search/providers")
	fmt.Println(children.Names(), err)
	// Output: [10.0.0.5:8080] <nil>
}

func ExampleClient_CreateNode() {
	ctx, client, end := open()
	defer end()

	path, err := client.CreateNode(ctx, "/jobs/job-", []byte("resize 1.png"), zkstream.Sequential(), zkstream.Parents())
	fmt.Println(path, err)
	_, err = client.CreateNode(ctx, "/jobs", nil)
	fmt.Println(errors.Is(err, zk.ErrNodeExists))
	// Output:
	// /jobs/job-0000000000 <nil>
	// true
}

func ExampleEphemeral() {
	ctx, client, end := open()
	defer end()

	client.CreateNode(ctx, "/leader", []byte("host-1"), zkstream.Ephemeral())
	leader, _ := client.Get(ctx, "/leader")
	fmt.Println(leader, leader.Stat().EphemeralOwner != 0)
	// Output: host-1 true
}

func ExampleSequential() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/lock", nil)

	for range 2 {
		path, _ := client.CreateNode(ctx, "/lock/", nil, zkstream.Ephemeral(), zkstream.Sequential())
		fmt.Println(path)
	}
	// Output:
	// /lock/0000000000
	// /lock/0000000001
}

func ExampleParents() {
	ctx, client, end := open()
	defer end()

	_, err := client.CreateNode(ctx, "/a/b/c", nil)
	fmt.Println(errors.Is(err, zk.ErrNoNode))
	path, err := client.CreateNode(ctx, "/a/b/c", nil, zkstream.Parents())
	fmt.Println(path, err)
	// Output:
	// true
	// /a/b/c <nil>
}

func ExampleContainer() {
	ctx, client, end := open()
	defer end()

	// The servers delete it some time after the last lock in it has gone.
	path, err := client.CreateNode(ctx, "/locks", nil, zkstream.Container())
	fmt.Println(path, err)
	// Output: /locks <nil>
}

func ExampleTTL() {
	ctx, client, end := open()
	defer end()

	path, err := client.CreateNode(ctx, "/token", []byte("abc"), zkstream.TTL(10*time.Minute))
	fmt.Println(path, err)
	// Output: /token <nil>
}

func ExampleNodeACL() {
	ctx, client, end := open()
	defer end()

	client.CreateNode(ctx, "/public", nil, zkstream.NodeACL(zk.WorldACL(zk.PermRead)))
	_, err := client.Write(ctx, "/public", []byte("x"), zkstream.AnyVersion)
	fmt.Println(errors.Is(err, zk.ErrNoAuth))
	// Output: true
}

func ExampleClient_Write() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/counter", []byte("41"))

	counter, _ := client.Get(ctx, "/counter")
	stat, err := client.Write(ctx, "/counter", []byte("42"), counter.Stat().Version)
	fmt.Println(stat.Version, err)
	_, err = client.Write(ctx, "/counter", []byte("43"), counter.Stat().Version)
	fmt.Println(errors.Is(err, zk.ErrBadVersion))
	// Output:
	// 1 <nil>
	// true
}

// What nobody else writes tells whether a write was carried out, where its call could not.
func ExampleErrUnknown() {
	server, _ := zktest.New()
	defer server.Close()
	server.Create("/counter", []byte("41 by host-1"))
	ctx := context.Background()
	client, err := zkstream.Connect(ctx, server.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	counter, _ := client.Get(ctx, "/counter")
	server.Intercept(func(r zktest.Request) zktest.Fault { // the answer is lost
		return zktest.Fault{LoseReply: r.Op == zktest.OpSetData}
	})

	_, err = client.Write(ctx, "/counter", []byte("42 by host-2"), counter.Stat().Version)
	fmt.Println(errors.Is(err, zkstream.ErrUnknown))
	if errors.Is(err, zkstream.ErrUnknown) {
		counter, _ = client.Get(ctx, "/counter")
		fmt.Println(counter)
	}
	// Output:
	// true
	// 42 by host-2
}

func ExampleClient_DeleteNode() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/old/child", nil, zkstream.Parents())

	err := client.DeleteNode(ctx, "/old", zkstream.AnyVersion)
	fmt.Println(errors.Is(err, zk.ErrNotEmpty))
	fmt.Println(client.DeleteNode(ctx, "/old/child", zkstream.AnyVersion))
	// Output:
	// true
	// <nil>
}

func ExampleClient_SetACL() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/a", nil)

	_, stat, _ := client.ACL(ctx, "/a")
	err := client.SetACL(ctx, "/a", zk.WorldACL(zk.PermRead|zk.PermAdmin), stat.Aversion)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleClient_ACL() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/a", nil)

	acl, _, err := client.ACL(ctx, "/a")
	fmt.Println(acl, err)
	// Output: [{31 world anyone}] <nil>
}

func ExampleClient_Multi() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/todo/7", []byte("job"), zkstream.Parents())
	client.CreateNode(ctx, "/done", nil)

	// Moves the job, unless somebody has changed it.
	_, err := client.Multi(ctx,
		&zk.DeleteRequest{Path: "/todo/7", Version: 0},
		&zk.CreateRequest{Path: "/done/7", Data: []byte("job"), Acl: zk.WorldACL(zk.PermAll)},
	)
	fmt.Println(err)
	done, _ := client.List(ctx, "/done")
	fmt.Println(done.Names())
	// Output:
	// <nil>
	// [7]
}

func ExampleClient_Sync() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/a", []byte("new"))

	// Now Get shows everything that any client had changed before, also on a server that lags behind.
	err := client.Sync(ctx, "/a")
	a, _ := client.Get(ctx, "/a")
	fmt.Println(a, err)
	// Output: new <nil>
}

func ExampleWithMaxRequest() {
	ctx, client, end := open(zkstream.WithMaxRequest(64 << 10)) // as jute.maxbuffer of the servers
	defer end()

	_, err := client.CreateNode(ctx, "/a", []byte(strings.Repeat("x", 100_000)))
	fmt.Println(errors.Is(err, zkstream.ErrTooLarge))
	// Output: true
}
