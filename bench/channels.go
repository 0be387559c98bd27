package main

import (
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// channelsLib is what one can make by hand for many consumers of one node: a loop around GetW, which hands what
// it reads to a goroutine for each consumer, over a bare channel. A slow consumer blocks all others.
type channelsLib struct {
	conn *zk.Conn

	mu       sync.Mutex // guards what follows
	path     string
	channels []chan []byte
	newest   []byte
}

func newChannels(servers string, timeout time.Duration) (library, error) {
	conn, err := connect(servers, timeout)
	return &channelsLib{conn: conn}, err
}

// share has n more consumers of the one node.
func (c *channelsLib) share(_, path string, n int, t *tracker) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		ch, got := make(chan []byte, 1), t.consumer()
		// Ends with the process.
		go func() {
			for content := range ch {
				got(dataTag(content))
			}
		}()
		c.add(ch)
	}
	if c.path == "" {
		c.path = path
		go c.loop() // ends with the process
	}
	return nil
}

// add adds a channel, which gets the newest content at once. It is called with mu held.
func (c *channelsLib) add(ch chan []byte) {
	c.channels = append(c.channels, ch)
	if c.newest != nil {
		ch <- c.newest
	}
}

func (c *channelsLib) loop() {
	for {
		content, _, events, err := c.conn.GetW(c.path)
		if err != nil {
			panic(err)
		}
		c.hand(content)
		<-events
	}
}

func (c *channelsLib) hand(content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = content
	for _, ch := range c.channels {
		ch <- content
	}
}

var errOneNode = errors.New("this contender watches one node")

func (*channelsLib) open(string, []string, *tracker) error { return errOneNode }
func (*channelsLib) second(string, string, int) error      { return errOneNode }
