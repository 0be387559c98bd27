package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/zkstream/zkstream"
)

const (
	// mostChanges is how many changes a browser is told of one by one. When there are more it asks anew for what it shows.
	mostChanges = 200
	// leastGap is the least time between two messages to a browser. What comes meanwhile is one message.
	leastGap = 50 * time.Millisecond
	// heartbeat is how often something is sent when nothing changes, so that a browser that is gone is noticed.
	heartbeat = 15 * time.Second
	// patience is how long a browser may take to receive a message. It may come again then, and begins anew.
	patience = 20 * time.Second
)

// A message is what a stream of events has: the state, and what has changed since the message before.
type message struct {
	Seq     uint64       `json:"seq"`
	Root    string       `json:"root"`
	Write   bool         `json:"write"`
	Ready   bool         `json:"ready"` // the tree has been read
	Nodes   int          `json:"nodes"`
	Error   string       `json:"error,omitempty"` // why the tree is not followed any more
	Session sessionJSON  `json:"session"`
	Changes []changeJSON `json:"changes,omitempty"`
	Total   int          `json:"total,omitempty"` // how many changes there are, with those that Changes lacks
	Begin   bool         `json:"begin,omitempty"` // this is the first message, or the first of a tree that has been read
}

type sessionJSON struct {
	State  string `json:"state"`
	ID     string `json:"id"`
	Server string `json:"server"`
}

// A changeJSON is what has become of one node.
type changeJSON struct {
	Path string `json:"path"`
	What string `json:"what"` // "added", "changed" or "removed"
	Node *row   `json:"node,omitempty"`
}

// events streams to one browser what changes, until it is gone.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.open <- struct{}{}:
		defer func() { <-s.open }()
	default:
		http.Error(w, "too many streams of events", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	stream := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		if err := stream.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return false
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return stream.Flush() == nil
	}
	var told state // of which the browser knows
	for {
		now, changed := s.live.get()
		if now.seq > told.seq || told.seq == 0 {
			data, err := json.Marshal(s.message(now, told))
			if err != nil || !send("data: %s\n\n", data) {
				return
			}
			told = now
			if !wait(r, leastGap) {
				return
			}
		}
		beat := time.NewTimer(heartbeat)
		select {
		case <-changed:
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
		case <-r.Context().Done():
			beat.Stop()
			return
		}
		beat.Stop()
	}
}

// wait reports false if the browser has gone meanwhile.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// message says how things are now to a browser that knows how they were.
func (s *Server) message(now, told state) message {
	m := message{
		Seq: now.seq, Root: s.options.Root, Write: s.options.Write, Ready: now.ready, Nodes: now.tree.Len(),
		Session: sessionJSON{now.session.State.String(), hex(now.session.ID), now.session.Server},
		Begin:   told.seq == 0 || now.ready && !told.ready,
	}
	if now.err != nil {
		m.Error = now.err.Error()
	}
	if m.Begin {
		return m
	}
	for c := range now.tree.Diff(told.tree) {
		if m.Total++; m.Total <= mostChanges {
			m.Changes = append(m.Changes, describe(now.tree, c))
		}
	}
	return m
}

func describe(tree zkstream.Tree, c zkstream.Change) changeJSON {
	switch {
	case !c.New.Exists():
		return changeJSON{Path: c.Path, What: "removed"}
	case !c.Old.Exists():
		return changeJSON{c.Path, "added", newRow(c.New, len(tree.Children(c.Path)))}
	}
	return changeJSON{c.Path, "changed", newRow(c.New, len(tree.Children(c.Path)))}
}
