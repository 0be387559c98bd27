package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// rawLib is what people write on go-zookeeper by hand, if they take care. Its own example gives a watch up on
// the first error, which comes with the first expired session; this one logs, waits a moment and tries
// again, as most services do. A goroutine for each watch reads the node, sets the watch in the same request,
// and waits for the event. An ephemeral node is created again when a session follows an expired one, and a
// node that is there already counts as created.
type rawLib struct {
	conn *zk.Conn

	mu            sync.Mutex // guards what follows
	registrations map[string]*rawRegistration
}

// rawRegistration is an ephemeral node.
type rawRegistration struct {
	node string
	told bool // "registered" has been said
}

// retryPause is what such a loop sleeps after an error.
const retryPause = 500 * time.Millisecond

func openRaw(servers string, timeout time.Duration) (library, error) {
	conn, events, err := zk.Connect(strings.Split(servers, ","), timeout,
		zk.WithLogger(log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds)))
	if err != nil {
		return nil, err
	}
	r := &rawLib{conn: conn, registrations: map[string]*rawRegistration{}}
	up := make(chan struct{}, 1)
	// Ends when the connection is closed, with the process.
	go r.follow(events, up)
	select {
	case <-up:
		return r, nil
	case <-time.After(time.Minute):
		conn.Close()
		return nil, errors.New("no session in a minute")
	}
}

// follow tells of the session, and creates ephemeral nodes again when it is a new one.
func (r *rawLib) follow(events <-chan zk.Event, up chan<- struct{}) {
	say("session connecting")
	expired, lost := false, true
	for ev := range events {
		if ev.Type != zk.EventSession {
			continue
		}
		switch ev.State {
		case zk.StateHasSession:
			say("session connected")
			lost = false
			if expired {
				r.again()
			}
			expired = false
			select {
			case up <- struct{}{}:
			default:
			}
		case zk.StateExpired:
			say("session expired")
			expired, lost = true, true
		case zk.StateDisconnected:
			if !lost { // it is told for each failed try, too
				say("session suspended")
			}
			lost = true
		}
	}
}

func (r *rawLib) close() { r.conn.Close() }

func (r *rawLib) data(id, path string) {
	// Ends with the process.
	go r.loop(path, func() (<-chan zk.Event, error) {
		value, stat, events, err := r.conn.GetW(path)
		if err == nil {
			sayData(id, stat.Czxid, stat.Mzxid, string(value))
		}
		return events, err
	}, func() { sayMissing("data", id) })
}

func (r *rawLib) children(id, path string) {
	// Ends with the process.
	go r.loop(path, func() (<-chan zk.Event, error) {
		names, stat, events, err := r.conn.ChildrenW(path)
		if err == nil {
			slices.Sort(names)
			sayChildren(id, stat.Czxid, stat.Pzxid, names)
		}
		return events, err
	}, func() { sayMissing("children", id) })
}

// loop reads, waits for the event, and reads again. A node that is missing is waited for.
func (r *rawLib) loop(path string, read func() (<-chan zk.Event, error), missing func()) {
	for {
		events, err := read()
		if errors.Is(err, zk.ErrNoNode) {
			var exists bool
			exists, _, events, err = r.conn.ExistsW(path)
			if err == nil && exists {
				continue // it has come meanwhile
			}
			if err == nil {
				missing()
			}
		}
		if err != nil {
			log.Printf("%s: %v", path, err)
			time.Sleep(retryPause)
			continue
		}
		<-events
	}
}

func (r *rawLib) register(id, path, addr string) {
	reg := &rawRegistration{node: path + "/" + addr}
	r.mu.Lock()
	r.registrations[id] = reg
	r.mu.Unlock()
	// Ends when the node is created or the connection is closed.
	go r.create(id, reg)
}

// create creates an ephemeral node, and tries again after a lost connection.
func (r *rawLib) create(id string, reg *rawRegistration) {
	for r.has(id) {
		_, err := r.conn.Create(reg.node, []byte("{}"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		if err == nil || errors.Is(err, zk.ErrNodeExists) {
			r.mu.Lock()
			first := !reg.told
			reg.told = true
			r.mu.Unlock()
			if first {
				say("registered %s", id)
			}
			return
		}
		log.Printf("create %s: %v", reg.node, err)
		time.Sleep(retryPause)
	}
}

// has reports whether a registration has not been withdrawn.
func (r *rawLib) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.registrations[id] != nil
}

// again creates all ephemeral nodes, in a new session.
func (r *rawLib) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, reg := range r.registrations {
		go r.create(id, reg) // as in register
	}
}

func (r *rawLib) withdraw(id string) {
	r.mu.Lock()
	reg := r.registrations[id]
	delete(r.registrations, id)
	r.mu.Unlock()
	if reg == nil {
		return
	}
	// Ends when the node is gone or the connection is closed.
	go func() {
		for {
			err := r.conn.Delete(reg.node, -1)
			if err == nil || errors.Is(err, zk.ErrNoNode) {
				say("withdrawn %s", id)
				return
			}
			log.Printf("delete %s: %v", reg.node, err)
			time.Sleep(retryPause)
		}
	}()
}

// A set of nodes takes a cache, which go-zookeeper does not have.
func (r *rawLib) instances(string, string) { say("unable instances") }
func (r *rawLib) tree(string, string)      { say("unable tree") }

// call is not for what does not say what has become of it.
func (r *rawLib) call(context.Context, string, string, string) { say("unable call") }

func (r *rawLib) names(string) { say("unable names") }

// large writes until it succeeds, as update does.
func (r *rawLib) large(ctx context.Context, id, path string, size int) {
	for {
		_, err := r.conn.Set(path, bytes.Repeat([]byte("x"), size), -1)
		if err == nil {
			say("updated %s", id)
			return
		}
		log.Printf("write %d bytes to %s: %v", size, path, err)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			sayFailed(id, err)
			return
		}
	}
}

// update reads, merges and writes with the version that was read, until it succeeds.
func (r *rawLib) update(ctx context.Context, id, path, key, value string) {
	for {
		err := r.merge(path, key, value)
		if err == nil {
			say("updated %s", id)
			return
		}
		if !errors.Is(err, zk.ErrBadVersion) {
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			sayFailed(id, fmt.Errorf("%w: %w", ctx.Err(), err))
			return
		}
	}
}

func (r *rawLib) merge(path, key, value string) error {
	data, stat, err := r.conn.Get(path)
	if err != nil {
		return err
	}
	props := map[string]any{}
	if err := json.Unmarshal(data, &props); err != nil {
		return err
	}
	props[key] = value
	if data, err = json.Marshal(props); err != nil {
		return err
	}
	_, err = r.conn.Set(path, data, stat.Version)
	return err
}
