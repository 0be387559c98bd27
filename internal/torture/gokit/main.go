// Command gokit is go-kit's sd/zk as a contender of the torture test.
//
// It has no more than sd/zk has: an Instancer and a Registrar. What the driver must know:
//
//   - An Instancer gives the values of the children, not their names: the value of each child must be its own
//     name, or begin with it and a "=" (n1=17). It does not hear of a child's new value. It creates the node
//     that it watches, if that is missing, and gives no zxids.
//   - A Registrar's node is PATH/_c_GUID-SEQUENCE, protected and sequential; its value is ADDR. To withdraw
//     it, the library tries to delete PATH, which fails while there are nodes in it, and else succeeds.
//   - The session timeout is 1 second at least.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	kitzk "github.com/go-kit/kit/sd/zk"
	"github.com/go-kit/log"
	"github.com/go-zookeeper/zk"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run obeys commands until there are no more.
func run(args []string, commands io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: gokit SERVERS TIMEOUT_MS")
	}
	ms, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c := &contender{out: out, registrations: map[string]*registration{}}
	first := make(chan struct{}) // closed at the first session
	c.client, err = kitzk.NewClient(strings.Split(args[0], ","), log.NewNopLogger(),
		kitzk.SessionTimeout(time.Duration(ms)*time.Millisecond),
		kitzk.EventHandler(c.events(first)))
	if err != nil {
		return err
	}
	defer c.close()
	select {
	case <-first:
	case <-time.After(time.Minute):
		return errors.New("no session for a minute")
	}
	c.say("ready")
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		c.obey(strings.Split(lines.Text(), " "))
	}
	return nil
}

// A contender is one client. Its goroutines end with the process: calls of this library cannot be cancelled.
type contender struct {
	client        kitzk.Client
	registrations map[string]*registration // of obey alone
	mu            sync.Mutex               // guards out
	out           io.Writer
}

// close is silent: that streams end now is no news.
func (c *contender) close() {
	c.mu.Lock()
	c.out = io.Discard
	c.mu.Unlock()
	c.client.Stop()
}

// obey does not wait: a command that takes long does not hold up the next one.
func (c *contender) obey(words []string) {
	switch {
	case words[0] == "children" && len(words) == 3:
		// Ends when the stream does; nobody waits for it.
		go c.children(words[1], words[2])
	case words[0] == "register" && len(words) == 4:
		r := newRegistration(c.client, words[2], words[3])
		c.registrations[words[1]] = r
		// Ends when the library has answered; withdraw waits for it.
		go c.register(words[1], r)
	case words[0] == "withdraw" && len(words) == 2:
		// Ends when the library has answered; nobody waits for it.
		go c.withdraw(words[1], c.registrations[words[1]])
	case words[0] == "stats":
		c.stats()
	default:
		c.say("unable " + words[0])
	}
}

// say writes a line at once and whole.
func (c *contender) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\n", args...)
}

// events returns what hears of the session, and of nodes, in one goroutine of the library's. go-zookeeper says
// that it is disconnected after each failed try, and after an expiry: it is said once here, and only of a
// session that is still there.
func (c *contender) events(first chan struct{}) func(zk.Event) {
	begun, up := false, false
	return func(event zk.Event) {
		switch {
		case event.Type != zk.EventSession:
		case event.State == zk.StateHasSession:
			up = true
			c.say("session connected")
			if !begun {
				begun = true
				close(first)
			}
		case event.State == zk.StateExpired:
			up = false
			c.say("session expired")
		case event.State == zk.StateDisconnected && up:
			up = false
			c.say("session suspended")
		}
	}
}

func (c *contender) stats() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds := 0
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		fds = len(entries) - 1 // without the one that reads the directory
	}
	c.say("stats %d %d %d", runtime.NumGoroutine(), m.HeapAlloc, fds)
}
