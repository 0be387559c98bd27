package zkconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// lasting is how long a connection must have held for its loss not to count as a failure, unless the server
	// has said why it ends it.
	lasting = time.Second

	// zkPause is go-zookeeper's own pause, which it makes when hosts.Next says so.
	zkPause = time.Second

	// failuresShown is how many addresses of one server Failures names.
	failuresShown = 4
)

// hosts decides which server is tried next, and when. It is go-zookeeper's HostProvider, and a memory of
// why each server could not be used.
//
// Dials come in rounds. A round tries each address of each server once, in random order, which spreads
// clients over servers, and reaches each of them, also behind one name. Between two rounds there is a pause
// that grows while no connection lasts. Then names are resolved anew.
//
// go-zookeeper's loop calls Next and then Conn.dial, again and again until that gives a connection. Next may
// not wait, since its caller holds a lock, but dial may: so the pause and the lookups happen there.
type hosts struct {
	conn  *Conn
	names *names

	mu          sync.Mutex // guards what follows
	step        step
	round       []endpoint    // still to be tried in this round
	rounds      int           // begun since a connection has lasted
	pause       time.Duration // before the next round
	current     endpoint      // the newest that was tried
	connectedAt time.Time     // when current gave a session; zero: it has not
	lostAt      time.Time     // when a connection was lost that had lasted, or brought answers; at first, when the Conn was opened
	expired     bool          // the last session is over, and calls made in it may still be under way
	limit       time.Duration // for a dial, and for a handshake
	attemptedAt time.Time     // when the attempt under way began; zero: there is none
	stage       string        // that it has reached
	failures    map[endpoint]error
	outage      outage

	refusalTold bool // AuthFailed has been emitted since a connection has lasted
}

// step is what dial is to do, as Next has decided.
type step uint8

const (
	dialCurrent step = iota
	beginRound
	waitForCalls // of the expired session
)

// Why Conn.dial gives no connection without having dialled. go-zookeeper then calls Next again.
var (
	errNextRound = errors.New("a round of the servers begins")
	errMustWait  = errors.New("not before the calls of the expired session have ended")
)

func (h *hosts) init(c *Conn) {
	h.conn = c
	h.names = newNames(c)
	h.failures = map[endpoint]error{}
	h.lostAt = time.Now()
	h.setLimit(len(c.cfg.Servers))
}

// Init is called by go-zookeeper with the list that it was given; hosts has its own.
func (h *hosts) Init([]string) error { return nil }

// Len returns the number of servers.
func (h *hosts) Len() int { return len(h.conn.cfg.Servers) }

// Next decides what dial does next, and returns the server that go-zookeeper takes itself to be connecting
// to. With retryStart go-zookeeper fails the requests that wait to be sent, and sleeps for a second; or it
// ends, if it is to close. So retryStart is for three occasions:
//
//   - when closing;
//   - after an expiry, while calls made in the old session are under way: their requests must not run in
//     the next one;
//   - before a pause of a second or more, of which go-zookeeper's sleep is then a part. Requests that wait
//     for the connection for so long should rather fail.
func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.connectedAt.IsZero() {
		if time.Since(h.connectedAt) >= lasting && h.failures[h.current] == nil {
			h.rounds, h.round, h.lostAt, h.refusalTold, h.outage = 0, nil, time.Now(), false, outage{}
		}
		h.connectedAt = time.Time{}
	}
	switch {
	case h.conn.ctx.Err() != nil || h.mustWaitLocked():
		h.step = waitForCalls
		retryStart = true
	case len(h.round) > 0:
		h.step = dialCurrent
		h.current, h.round = h.round[0], h.round[1:]
	default:
		h.step = beginRound
		h.pause = h.pauseLocked()
		if retryStart = h.pause >= zkPause; retryStart {
			h.pause -= zkPause
		}
	}
	return h.current.server, retryStart
}

// pauseLocked returns the pause before the next round. While the session may still be alive, a long one
// could cost it.
func (h *hosts) pauseLocked() time.Duration {
	pauses := ReconnectPauses
	h.conn.mu.Lock() // after h.mu, here and everywhere
	timeout := h.conn.current.Timeout
	h.conn.mu.Unlock()
	if timeout == 0 {
		timeout = h.conn.cfg.Timeout
	}
	if time.Since(h.lostAt) < timeout {
		pauses.Most = max(pauses.First, min(pauses.Most, timeout/8))
	}
	return pauses.After(h.rounds)
}

// mustWaitLocked reports whether the next session must wait for calls made in the last one. None can begin
// meanwhile, and go-zookeeper fails their requests, so they end soon.
func (h *hosts) mustWaitLocked() bool { return h.expired && h.conn.pending.Load() > 0 }

// beginRound makes the pause, resolves the names, and fills the round. The endpoint that was tried last
// comes last: often it has just been lost. It returns early, with nothing to try, when Close begins.
func (h *hosts) beginRound() {
	h.mu.Lock()
	pause := time.NewTimer(h.pause)
	h.mu.Unlock()
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-h.conn.ctx.Done():
		return
	}
	began := time.Now()
	h.names.refresh()
	for _, server := range h.conn.cfg.Servers {
		if err := h.names.failure(server); err != nil {
			if attempted := h.conn.cfg.Attempted; attempted != nil {
				attempted(Attempt{Server: server, Took: time.Since(began), Stage: stageResolve, Err: err})
			}
			h.report(endpoint{server, server}, err)
		}
	}
	all := h.names.endpoints()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	h.mu.Lock()
	defer h.mu.Unlock()
	if i, last := slices.Index(all, h.current), len(all)-1; i >= 0 {
		all[i], all[last] = all[last], all[i]
	}
	maps.DeleteFunc(h.failures, func(e endpoint, _ error) bool { return !slices.Contains(all, e) })
	h.rounds++
	h.round = all
	h.setLimit(len(all))
}

// setLimit sets the limit of a dial, and of a handshake: with one server out of n that hangs, there is time
// for the others while the session lives.
func (h *hosts) setLimit(n int) {
	h.limit = min(max(h.conn.cfg.Timeout/time.Duration(n+1), 500*time.Millisecond), 10*time.Second)
}

// attemptLimit returns the limit of a dial, and of a handshake.
func (h *hosts) attemptLimit() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limit
}

// next returns what Next has decided.
func (h *hosts) next() (step, endpoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.step, h.current
}

// lost notes that a connection has ended on which the server had answered. The session was alive until then, however
// short the connection: a request that a server does not take ends one after the other. If the pauses that grow
// meanwhile did not look at that, they would cost the session in the end.
func (h *hosts) lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures[h.current] == nil { // else the server has said why it ends it
		h.lostAt = time.Now()
	}
}

// Connected is called by go-zookeeper when there is a session.
func (h *hosts) Connected() {
	h.mu.Lock()
	h.expired = false
	h.connectedAt = time.Now()
	o := h.outage
	ended := h.outage.connected()
	h.mu.Unlock()
	if ended {
		h.conn.log.Info("zkstream: there is a session again", "after", time.Since(o.since).Round(time.Millisecond), "attempts", o.attempts)
	}
}

// report logs why e could not be used, unless it has been logged; see outage.
func (h *hosts) report(e endpoint, err error) {
	h.conn.counters.failures.Add(1)
	h.mu.Lock()
	first, summary := h.outage.failed(err, time.Now())
	o := h.outage
	h.mu.Unlock()
	level := slog.LevelDebug
	if first {
		level = slog.LevelWarn
	}
	// A handler may call the Conn, so h.mu is not held.
	h.conn.log.Log(context.Background(), level, "zkstream: no session", "server", e.String(), "error", err)
	if summary {
		h.conn.log.Warn("zkstream: still no session", "for", time.Since(o.since).Round(time.Millisecond), "attempts", o.attempts,
			"failures", h.conn.Failures())
	}
}

// sessionExpired notes that the server in use has said so. It is there, so it is asked for a new session
// at once, whatever is left of the round.
func (h *hosts) sessionExpired() {
	h.mu.Lock()
	h.expired = true
	h.round = append([]endpoint{h.current}, h.round...)
	h.mu.Unlock()
	h.attemptEnded(zk.ErrSessionExpired)
}

// outcome remembers why the server in use could not be used; nil: it could. A server that refuses a
// credential may be one that is configured wrongly; only when all have, it is the credential.
func (h *hosts) outcome(err error) {
	h.mu.Lock()
	e := h.current
	h.failures[e] = err
	if errors.Is(err, zk.ErrAuthFailed) && !h.refusalTold && h.allRefuseLocked() {
		h.refusalTold = true
		h.conn.emit(Event{Kind: AuthFailed, Err: err})
	}
	h.mu.Unlock()
	h.attemptEnded(err)
	if err != nil && h.conn.ctx.Err() == nil {
		h.report(e, err)
	}
}

// refusal returns the error of the server that was tried last, if all refuse a credential; otherwise nil.
func (h *hosts) refusal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.allRefuseLocked() {
		return nil
	}
	return h.failures[h.current]
}

// allRefuseLocked reports whether each address of each server has refused a credential at the last attempt.
func (h *hosts) allRefuseLocked() bool {
	refused := map[string]bool{}
	for _, e := range h.names.endpoints() {
		if !errors.Is(h.failures[e], zk.ErrAuthFailed) {
			return false
		}
		refused[e.server] = true
	}
	for _, server := range h.conn.cfg.Servers {
		if !refused[server] { // its name could not be resolved
			return false
		}
	}
	return true
}

// Failures describes, in the order of Config.Servers, why each server could not be used at the last
// attempt. It is empty if all could.
func (c *Conn) Failures() string {
	h := &c.hosts
	all := h.names.endpoints()
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for _, server := range c.cfg.Servers {
		var failed []string
		tried := false
		if err := h.names.failure(server); err != nil {
			failed, tried = append(failed, fmt.Sprintf("%s: %v", server, err)), true
		}
		for _, e := range all {
			if e.server != server {
				continue
			}
			err, has := h.failures[e]
			tried = tried || has
			if err != nil {
				failed = append(failed, fmt.Sprintf("%s: %v", e, err))
			}
		}
		if !tried {
			failed = append(failed, server+": not reached yet")
		}
		if more := len(failed) - failuresShown; more > 0 {
			failed = append(failed[:failuresShown], fmt.Sprintf("%s: and %d more addresses", server, more))
		}
		parts = append(parts, failed...)
	}
	return strings.Join(parts, "; ")
}

// String names the server, and its address if that is another.
func (e endpoint) String() string {
	if e.addr == e.server {
		return e.server
	}
	return e.server + " (" + e.addr + ")"
}
