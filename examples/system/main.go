// System imports the text of a small system, and follows a link in it that is moved: a load balancer finds the
// servers of its service by a path that leads through the link.
//
// With a file and ZOOKEEPER_SERVERS it imports that file, after it has shown what would change, and then watches the servers
// at a path until it is interrupted:
//
//	ZOOKEEPER_SERVERS=zk1,zk2 go run ./examples/system system.txt /lb/providers
//
// Without arguments it imports a system of its own, and takes it away again.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktext"
	"github.com/zkstream/zkstream/zktree"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
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
	if len(args) != 2 {
		return show(ctx, client)
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if err := load(ctx, client, "/", string(text)); err != nil {
		return err
	}
	return zktree.Children(ctx, client, args[1]).ForEach(func(c zkstream.Children) error {
		fmt.Println(c)
		return nil
	})
}

// load imports a text below a path.
func load(ctx context.Context, client *zkstream.Client, path, text string) error {
	tree, err := zktext.Parse(text)
	if err != nil {
		return err
	}
	changes, err := zktree.Plan(ctx, client, path, tree)
	if err != nil {
		return err
	}
	fmt.Print(changes)
	return zktree.Apply(ctx, client, changes)
}

// system has a load balancer, and a service in two generations. The link says which of them is in use, and what the
// load balancer has to know of the service comes by property links.
const system = `
/lb : nginx
  providers -> ../search/blue/providers
  timeout => ../search timeout
/search : service
  timeout = 30
  /blue
    /providers
  /green
    /providers
`

// show imports the system, registers a server in each generation, and moves the link.
func show(ctx context.Context, client *zkstream.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	base := fmt.Sprintf("/system-%d", os.Getpid())
	if err := client.Create(ctx, base, nil); err != nil {
		return err
	}
	err := play(ctx, client, base)
	_, deleteErr := zktree.DeleteAll(ctx, client, base, zktree.Force())
	return errors.Join(err, deleteErr)
}

func play(ctx context.Context, client *zkstream.Client, base string) error {
	if err := load(ctx, client, base, system); err != nil {
		return err
	}
	for generation, addr := range map[string]string{"blue": "10.0.0.1:8080", "green": "10.0.0.2:8080"} {
		r, err := zktree.Register(ctx, client, base+"/search/"+generation+"/providers", addr, nil)
		if err != nil {
			return err
		}
		defer r.Close()
	}
	config := zktree.Properties(ctx, client, base+"/lb")
	defer config.Close()
	properties, err := config.Next(ctx)
	if err != nil {
		return err
	}
	timeout, err := zkstream.Value[int](properties, "timeout")
	if err != nil {
		return err
	}
	fmt.Println("timeout:", timeout)

	servers := zktree.Children(ctx, client, base+"/lb/providers")
	defer servers.Close()
	for _, to := range []string{"/search/green/providers", "/none", "/search/blue/providers"} {
		if err := print(ctx, servers, base); err != nil {
			return err
		}
		fmt.Println("moving the link to", to)
		if err := zktree.Link(ctx, client, base+to, base+"/lb/providers"); err != nil {
			return err
		}
	}
	return print(ctx, servers, base)
}

// print shows the next snapshot.
func print(ctx context.Context, servers *zkstream.Stream[zkstream.Children], base string) error {
	now, err := servers.Next(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", strings.TrimPrefix(now.Path(), base), now.Names())
	return nil
}
