package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// serviceConfig has the calls spread over all servers, and those of the service Pid made again.
//
// A call whose connection is lost fails with UNAVAILABLE, and nobody knows whether the server has carried it out. So
// only methods that may be carried out twice belong into a retryPolicy: reads, and writes that name what they write.
// Without one gRPC still repeats, by itself, what it knows that no server has seen: calls that were not sent yet, and those that
// a server in its graceful stop turns away.
//
// waitForReady has calls wait while no server is connected, which is so at the very beginning, and when all are down.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [{"service": "Pid"}],
		"waitForReady": true,
		"timeout": "10s",
		"retryPolicy": {
			"maxAttempts": 4,
			"initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// A caller calls 200 times a second.
type caller struct {
	builder *zkgrpc.Builder
	conn    *grpc.ClientConn
	stop    context.CancelFunc
	calls   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	by      map[int]int
	longest time.Duration
	failed  []error
	answer  chan struct{} // closed with the next answer
}

func newCaller(client *zkstream.Client) (*caller, error) {
	builder := zkgrpc.NewBuilder(client)
	conn, err := grpc.NewClient("zk://"+path, grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(serviceConfig))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &caller{builder: builder, conn: conn, stop: stop, by: map[int]int{}, answer: make(chan struct{})}
	c.calls.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			c.calls.Go(c.call)
		}
	})
	return c, nil
}

func (c *caller) call() {
	begun := time.Now()
	pid, err := getPid(context.Background(), c.conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.by[pid]++
	c.longest = max(c.longest, time.Since(begun))
	close(c.answer)
	c.answer = make(chan struct{})
}

// waitForAnswer returns when that server has answered a hundred calls.
func (c *caller) waitForAnswer(ctx context.Context, pid int) error {
	for {
		c.mu.Lock()
		enough, answer := c.by[pid] >= 100, c.answer
		c.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-answer:
		case <-ctx.Done():
			return fmt.Errorf("waiting for server %d: %w", pid, ctx.Err())
		}
	}
}

// report ends the calls and says how they went.
func (c *caller) report() error {
	c.stop()
	c.calls.Wait()
	answered := 0
	for _, n := range c.by {
		answered += n
	}
	fmt.Printf("%d calls answered by %d servers, the longest took %s; %d failed\n",
		answered, len(c.by), c.longest.Round(time.Millisecond), len(c.failed))
	if len(c.failed) > 0 {
		return c.failed[0]
	}
	return nil
}

func (c *caller) close() {
	c.stop()
	c.calls.Wait()
	c.conn.Close()
	c.builder.Close()
}
