package zktree_test

import (
	"context"
	"fmt"
	"log"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktext"
	"github.com/zkstream/zkstream/zktree"
)

// connect is what each example begins with.
func connect(ctx context.Context, text string) (*zkstream.Client, func()) {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	client, err := zkstream.Connect(ctx, server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	tree, err := zktext.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	changes, err := zktree.Plan(ctx, client, "/", tree)
	if err != nil {
		log.Fatal(err)
	}
	if err := zktree.Apply(ctx, client, changes); err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.Close()
		server.Close()
	}
}

func Example() {
	ctx := context.Background()
	client, done := connect(ctx, `
/search : service
  threads = 4
  database -> /databases/main
  /providers
/databases
  /main
`)
	defer done()

	tree, _ := zktext.Parse(`
/search : service
  threads = 8
  database -> /databases/main
  /providers
  /cache
`)
	changes, err := zktree.Plan(ctx, client, "/", tree)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(changes)
	if err := zktree.Apply(ctx, client, changes); err != nil {
		log.Fatal(err)
	}
	path, err := zktree.Resolve(ctx, client, "/search/database")
	fmt.Println(path, err)
	// Output:
	// /search threads change from 4 to 8
	// add /search/cache
	// /databases/main <nil>
}

func ExampleExport() {
	ctx := context.Background()
	client, done := connect(ctx, "/search\n  threads = 4\n  /providers\n")
	defer done()

	client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil) // ephemeral, and so left out
	tree, err := zktree.Export(ctx, client, "/search", zktree.WithName("copy"))
	if err != nil {
		log.Fatal(err)
	}
	text, err := zktext.Format(tree)
	fmt.Print(text, err)
	// Output:
	// /copy
	//   threads = 4
	//   /providers
	// <nil>
}

func ExamplePlan() {
	ctx := context.Background()
	client, done := connect(ctx, "/search\n  threads = 4\n  /old\n")
	defer done()

	tree, _ := zktext.Parse("/search\n  /new\n")
	changes, err := zktree.Plan(ctx, client, "/", tree, zktree.Trim())
	if err != nil {
		log.Fatal(err)
	}
	for change := range changes.All() {
		switch change.Action {
		case zktree.AddNode:
			fmt.Println("new:", change.Path)
		case zktree.DeleteNode:
			fmt.Println("gone:", change.Path)
		default:
			fmt.Println(change)
		}
	}
	// Output:
	// /search remove property threads = 4
	// gone: /search/old
	// new: /search/new
}

func ExampleApply() {
	ctx := context.Background()
	client, done := connect(ctx, "")
	defer done()

	root := &zktext.Node{}
	for i := range 2500 {
		root.Children = append(root.Children, &zktext.Node{Name: fmt.Sprint("node", i)})
	}
	changes, err := zktree.Plan(ctx, client, "/", root)
	if err != nil {
		log.Fatal(err)
	}
	err = zktree.Apply(ctx, client, changes, zktree.WithProgress(func(done, total int) {
		if done == total { // before that, by transactions of up to a thousand nodes
			fmt.Println(done, "of", total)
		}
	}))
	fmt.Println(err)
	// Output:
	// 2500 of 2500
	// <nil>
}

func ExampleDeleteAll() {
	ctx := context.Background()
	client, done := connect(ctx, "/search\n  /cache\n  /providers\n")
	defer done()

	client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil)
	changes, err := zktree.DeleteAll(ctx, client, "/search", zktree.DryRun())
	fmt.Print(changes)
	fmt.Println(err)
	// Output:
	// delete /search/cache
	// not deleting /search/providers/10.0.0.5:8080 because it's ephemeral
	// /search/providers not deleted due to ephemeral descendent
	// /search not deleted due to ephemeral descendent
	// <nil>
}

func ExampleWalk() {
	ctx := context.Background()
	client, done := connect(ctx, "/search\n  /cache\n    /a\n  /providers\n")
	defer done()

	err := zktree.Walk(ctx, client, "/search", func(d zkstream.Data) error {
		fmt.Println(d.Path())
		if d.Path() == "/search/cache" {
			return zktree.ErrSkipBelow
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// /search
	// /search/cache
	// /search/providers
	// <nil>
}

func ExampleLink() {
	ctx := context.Background()
	client, done := connect(ctx, "/search\n/databases\n  /main\n")
	defer done()

	if err := zktree.Link(ctx, client, "/databases/main", "/search/database"); err != nil {
		log.Fatal(err)
	}
	path, err := zktree.Resolve(ctx, client, "/search/database")
	fmt.Println(path, err)
	// Output: /databases/main <nil>
}

func ExampleResolve() {
	ctx := context.Background()
	client, done := connect(ctx, "/a\n  one -> two\n  two -> one\n  up -> ../b\n/b\n  /c\n")
	defer done()

	fmt.Println(zktree.Resolve(ctx, client, "/a/up/c"))
	_, err := zktree.Resolve(ctx, client, "/a/one")
	fmt.Println(err)
	// Output:
	// /b/c <nil>
	// zkstream: resolve "/a/one": zktree: links in a loop: /a/one -> /a/two -> /a/one
}

func ExampleChildren() {
	ctx := context.Background()
	client, done := connect(ctx, `
/lb
  pool -> /search/blue
/search
  /blue
    /10.0.0.1:80
  /green
    /10.0.0.2:80
`)
	defer done()

	servers := zktree.Children(ctx, client, "/lb/pool")
	fmt.Println(<-servers.C())
	zktree.Link(ctx, client, "/search/green", "/lb/pool")
	fmt.Println(<-servers.C())
	// Output:
	// /search/blue [10.0.0.1:80]
	// /search/green [10.0.0.2:80]
}

func ExampleProperties() {
	ctx := context.Background()
	client, done := connect(ctx, `
/cms
  threads => /defaults
/defaults
  threads = 4
`)
	defer done()

	type config struct{ Threads int }
	configs := zkstream.Decode[config](zktree.Properties(ctx, client, "/cms"))
	fmt.Println((<-configs.C()).Value.Threads)
	client.UpdateProperties(ctx, "/defaults", map[string]any{"threads": 8})
	fmt.Println((<-configs.C()).Value.Threads)
	// Output:
	// 4
	// 8
}

func ExampleRegister() {
	ctx := context.Background()
	client, done := connect(ctx, "/cms\n  providers -> /pools/a\n/pools\n  /a\n  /b\n")
	defer done()

	server, err := zktree.Register(ctx, client, "/cms/providers", "10.0.0.1:80", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	b := client.Children(ctx, "/pools/b")
	fmt.Println(<-b.C())
	zktree.Link(ctx, client, "/pools/b", "/cms/providers")
	fmt.Println(<-b.C())
	// Output:
	// /pools/b []
	// /pools/b [10.0.0.1:80]
}
