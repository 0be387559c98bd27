package zkdebug

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// A Recorder keeps what has happened last to one client: connections, the session, and calls. It takes a fixed amount of
// memory, under 1 MB, whatever happens. The zero value is ready for use; it must not be copied then.
type Recorder struct {
	mu      sync.Mutex // guards what follows
	since   time.Time  // when the session's state began
	servers map[string]*server
	events  ring[event]
	calls   ring[call]
	failed  ring[call] // of calls
}

// kept is how many events of each sort a Recorder keeps.
const kept = 100

// longest is how many bytes are kept of a path or an error. A path may have a megabyte.
const longest = 1024

// An event is something that has happened to the connection or the session.
type event struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`
	Error string    `json:"error,omitempty"`
}

// A call is a call of one of the client's methods.
type call struct {
	At    time.Time `json:"at"`
	Op    string    `json:"op"`
	Path  string    `json:"path"`
	Took  float64   `json:"took"`
	Error string    `json:"error,omitempty"`
}

// A server is one of those in the connection string.
type server struct {
	Server   string     `json:"server"`
	Connects int        `json:"connects"`
	Failures int        `json:"failures"`
	Error    string     `json:"error,omitempty"` // the last
	At       *time.Time `json:"at"`              // of the last failure; nil if there is none
}

// Trace returns what [zkstream.WithTrace] needs to tell the Recorder of what happens. One client should have it.
func (r *Recorder) Trace() *zkstream.Trace {
	return &zkstream.Trace{Connect: r.connect, Session: r.session, Call: r.call, Resync: r.resync, Resynced: r.resynced}
}

// Handler returns a handler for what client does, with what the Recorder knows of it. A nil Recorder knows nothing.
func (r *Recorder) Handler(client *zkstream.Client) http.Handler { return &handler{client, r} }

func (r *Recorder) connect(c zkstream.ConnectTrace) {
	now := time.Now()
	text := c.Server
	if c.Addr != "" && c.Addr != c.Server {
		text += " at " + c.Addr
	}
	if c.Stage != "" {
		text += ": " + c.Stage
	}
	text += " in " + short(c.Took)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.servers[c.Server]
	if s == nil {
		if r.servers == nil {
			r.servers = map[string]*server{}
		}
		s = &server{Server: c.Server}
		r.servers[c.Server] = s
	}
	switch {
	case c.Err == nil:
		s.Connects++
	case !errors.Is(c.Err, zk.ErrSessionExpired): // which is an answer, too
		s.Failures++
		s.Error, s.At = message(c.Err), &now
	}
	r.events.add(event{At: now, Kind: "connect", Text: text, Error: message(c.Err)})
}

func (r *Recorder) session(s zkstream.Session) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since = now
	r.events.add(event{At: now, Kind: "session", Text: s.String()})
}

func (r *Recorder) resync(s zkstream.ResyncTrace) {
	text := fmt.Sprintf("a new session: %d nodes are read again", s.Read)
	if s.Resumed {
		text = fmt.Sprintf("the same session: %d watches are set again, %d nodes are read", s.Rearmed, s.Read)
	}
	r.note("resync", text)
}

func (r *Recorder) resynced(s zkstream.ResyncTrace) { r.note("resync", "done in "+short(s.Took)) }

func (r *Recorder) note(kind, text string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events.add(event{At: now, Kind: kind, Text: text})
}

func (r *Recorder) call(_ context.Context, c zkstream.CallTrace) {
	entry := call{At: c.Began, Op: c.Op, Path: shorten(c.Path), Took: c.Took.Seconds(), Error: message(c.Err)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls.add(entry)
	if c.Err != nil {
		r.failed.add(entry)
	}
}

// A record is a copy of what a Recorder has kept.
type record struct {
	since         *time.Time
	servers       []server
	events        []event
	calls, failed []call
}

// record returns what was kept so far. A nil Recorder has kept nothing.
func (r *Recorder) record() record {
	if r == nil {
		return record{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var rec record
	if since := r.since; !since.IsZero() {
		rec.since = &since
	}
	for _, s := range slices.SortedFunc(maps.Values(r.servers), func(a, b *server) int { return cmp.Compare(a.Server, b.Server) }) {
		rec.servers = append(rec.servers, *s)
	}
	rec.events, rec.calls, rec.failed = r.events.newestFirst(), r.calls.newestFirst(), r.failed.newestFirst()
	return rec
}

// A ring is the last things of one sort. The zero value is empty.
type ring[T any] struct {
	all  []T // up to kept of them
	next int // the place of the next one, once there are kept: that of the oldest
}

func (r *ring[T]) add(v T) {
	if len(r.all) < kept {
		r.all = append(r.all, v)
		return
	}
	r.all[r.next] = v
	r.next = (r.next + 1) % kept
}

func (r *ring[T]) newestFirst() []T {
	all := slices.Concat(r.all[r.next:], r.all[:r.next])
	slices.Reverse(all)
	return all
}

// message returns what an error says, "" for none.
func message(err error) string {
	if err == nil {
		return ""
	}
	return shorten(err.Error())
}

// shorten returns a text of which longest bytes are left at most, in memory of its own if something is cut off.
func shorten(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:longest-len("…")]), "") + "…"
}
