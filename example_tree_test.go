package zkstream_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zkstream/zkstream"
)

func ExampleClient_Instances() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/search/10.0.0.5:8080", []byte(`{"weight": 2}`), zkstream.Parents())

	servers := client.Instances(ctx, "/search")
	now, _ := servers.Next(ctx)
	for name, p := range now.All() {
		weight, _ := zkstream.Value[int](p, "weight")
		fmt.Println(name, weight)
	}
	client.UpdateProperties(ctx, "/search/10.0.0.5:8080", map[string]any{"weight": 3})
	now, _ = servers.Next(ctx)
	p, _ := now.Get("10.0.0.5:8080")
	fmt.Println(now.Names(), p)
	// Output:
	// 10.0.0.5:8080 2
	// [10.0.0.5:8080] {"weight": 3}
}

func ExampleInstances_Diff() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/search/a", nil, zkstream.Parents())
	client.CreateNode(ctx, "/search/b", nil)

	servers := client.Instances(ctx, "/search")
	before, _ := servers.Next(ctx)
	client.Write(ctx, "/search/b", []byte("draining"), zkstream.AnyVersion)
	now, _ := servers.Next(ctx)
	added, changed, removed := now.Diff(before)
	fmt.Println(added, changed, removed)
	// Output: [] [b] []
}

func ExampleClient_GetTree() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/db/host", []byte("10.0.0.9"), zkstream.Parents())

	tree, err := client.GetTree(ctx, "/app")
	for node := range tree.All() {
		fmt.Printf("%s %q\n", node.Path(), node)
	}
	fmt.Println(err)
	// Output:
	// /app ""
	// /app/db ""
	// /app/db/host "10.0.0.9"
	// <nil>
}

func ExampleClient_Tree() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/db/host", []byte("10.0.0.9"), zkstream.Parents())
	client.CreateNode(ctx, "/app/web", []byte("on"))

	tree, _ := client.Tree(ctx, "/app").Next(ctx)
	for node := range tree.All() {
		fmt.Printf("%s %q\n", node.Path(), node)
	}
	host, _ := tree.Get("/app/db/host")
	fmt.Println(host, tree.Children("/app"))
	// Output:
	// /app ""
	// /app/db ""
	// /app/db/host "10.0.0.9"
	// /app/web "on"
	// 10.0.0.9 [db web]
}

func ExampleTree_Diff() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/web", []byte("on"), zkstream.Parents())

	trees := client.Tree(ctx, "/app")
	before, _ := trees.Next(ctx)
	client.Write(ctx, "/app/web", []byte("off"), zkstream.AnyVersion)
	now, _ := trees.Next(ctx)
	for change := range now.Diff(before) {
		fmt.Printf("%s: %s, then %s\n", change.Path, change.Old, change.New)
	}
	// Output: /app/web: on, then off
}

func ExampleWithDepth() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/db/host", nil, zkstream.Parents())

	tree, _ := client.Tree(ctx, "/app", zkstream.WithDepth(1)).Next(ctx)
	fmt.Println(tree.Len(), tree.Children("/app"), tree.Children("/app/db"))
	// Output: 2 [db] []
}

func ExampleWithMaxNodes() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/db/host", nil, zkstream.Parents())

	_, err := client.Tree(ctx, "/app", zkstream.WithMaxNodes(2)).Next(ctx)
	fmt.Println(err, errors.Is(err, zkstream.ErrTooLarge))
	// Output: zkstream: tree "/app": more than 2 nodes: too large true
}

func ExampleWithoutData() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/app/blob", []byte(strings.Repeat("x", 1000)), zkstream.Parents())

	tree, _ := client.Tree(ctx, "/app", zkstream.WithoutData()).Next(ctx)
	blob, _ := tree.Get("/app/blob")
	fmt.Println(len(blob.Bytes()), blob.Stat().DataLength)
	// Output: 0 1000
}
