// Failover calls a service 200 times a second while its servers are killed, one after the other, with SIGKILL. Each is a
// process of its own; another one is always up. No call fails, for two reasons: ZooKeeper tells the client of new servers,
// and a call that was under way when its server died is made once more, on another one.
//
// That second part is the service config's retryPolicy. It is right for calls that may be carried out twice, and
// only for those: a connection that is lost does not say whether the server has begun. See client.go.
//
// With ZOOKEEPER_SERVERS set it uses these servers, and leaves the node /zkgrpc-failover there; else one in this process.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

const path = "/zkgrpc-failover" // of the service

func main() {
	serving := flag.Bool("serve", false, "be one of the servers, until a signal ends it")
	kills := flag.Int("kills", 6, "how many servers to kill")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *serving {
		err = serve(ctx, os.Getenv("ZOOKEEPER_SERVERS"))
	} else {
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		err = run(limited, *kills)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kills int) error {
	servers := os.Getenv("ZOOKEEPER_SERVERS")
	if servers == "" {
		fmt.Println("ZOOKEEPER_SERVERS is not set: using a ZooKeeper server in this process (zktest)")
		zookeeper, err := zktest.New()
		if err != nil {
			return err
		}
		defer zookeeper.Close()
		servers = zookeeper.Addr()
	}
	client, err := zkstream.Connect(ctx, servers)
	if err != nil {
		return err
	}
	defer client.Close()
	var up []*exec.Cmd // the oldest first
	defer func() {
		for _, server := range up {
			server.Process.Signal(syscall.SIGTERM)
			server.Wait()
		}
	}()
	for range 2 {
		server, err := start(servers)
		if err != nil {
			return err
		}
		up = append(up, server)
	}

	c, err := newCaller(client)
	if err != nil {
		return err
	}
	defer c.close()
	for _, server := range up {
		if err := c.waitForAnswer(ctx, server.Process.Pid); err != nil {
			return err
		}
	}
	for range kills {
		fmt.Println("kill -9", up[0].Process.Pid)
		up[0].Process.Kill()
		up[0].Wait()
		server, err := start(servers)
		if err != nil {
			return err
		}
		up = append(up[1:], server)
		if err := c.waitForAnswer(ctx, server.Process.Pid); err != nil {
			return err
		}
	}
	return c.report()
}

// start starts a server in a process of its own, and returns when it is registered.
func start(servers string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-serve")
	cmd.Env = append(os.Environ(), "ZOOKEEPER_SERVERS="+servers)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("the server has ended: %w", err)
	}
	fmt.Print(line)
	return cmd, nil
}
