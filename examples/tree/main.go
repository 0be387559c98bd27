// Tree draws what is below a path, again after each change. With a path as its argument it goes on until it is
// interrupted:
//
//	ZOOKEEPER_SERVERS=zk1:2181 go run ./examples/tree /app
//
// Without one it makes a few nodes of its own, draws them, and takes them away again.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	servers := os.Getenv("ZOOKEEPER_SERVERS")
	if servers == "" {
		fmt.Println("ZOOKEEPER_SERVERS is not set: using a ZooKeeper server in this process (zktest)")
		server, err := zktest.New()
		if err != nil {
			return err
		}
		defer server.Close()
		servers = server.Addr()
	}
	client, err := zkstream.Connect(ctx, servers)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(os.Args) > 1 {
		return follow(ctx, client, os.Args[1], nil)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	root := fmt.Sprintf("/tree-%d", os.Getpid())
	for _, name := range []string{"/db/primary", "/db/replica", "/web"} {
		if _, err := client.CreateNode(ctx, root+name, []byte("starting"), zkstream.Parents()); err != nil {
			return err
		}
	}
	if _, err := client.Write(ctx, root+"/web", []byte("ready"), zkstream.AnyVersion); err != nil {
		return err
	}
	err = follow(ctx, client, root, func(t zkstream.Tree) bool { return t.Len() == 5 })
	for _, name := range []string{"/db/primary", "/db/replica", "/db", "/web", ""} {
		err = errors.Join(err, client.DeleteNode(ctx, root+name, zkstream.AnyVersion))
	}
	return err
}

// follow draws a tree after each change, until done; nil is never.
func follow(ctx context.Context, client *zkstream.Client, root string, done func(zkstream.Tree) bool) error {
	trees := client.Tree(ctx, root)
	defer trees.Close()
	var before zkstream.Tree
	for now := range trees.All() {
		draw(now, before)
		if done != nil && done(now) {
			return nil
		}
		before = now
	}
	return trees.Err()
}

// draw marks what is new in a tree.
func draw(now, before zkstream.Tree) {
	if !now.Exists() {
		fmt.Println(now.Path(), "does not exist")
		return
	}
	fresh := map[string]bool{}
	for change := range now.Diff(before) {
		fresh[change.Path] = true
	}
	above := strings.Count(strings.TrimSuffix(now.Path(), "/"), "/")
	for node := range now.All() {
		mark := " "
		if fresh[node.Path()] && before.Exists() {
			mark = "*"
		}
		content := node.String()
		switch {
		case errors.Is(node.Err(), zk.ErrNoAuth):
			content = "may not be read"
		case len(content) > 60:
			content = fmt.Sprintf("%d bytes", len(content))
		}
		level := 0
		if node.Path() != now.Path() {
			level = strings.Count(node.Path(), "/") - above
		}
		fmt.Printf("%s %s%s  %s\n", mark, strings.Repeat("  ", level), path.Base(node.Path()), content)
	}
}
