package ensemble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// pollInterval is the pause between two rounds of questions to the servers.
	pollInterval = 20 * time.Millisecond

	// answerTimeout bounds the wait for one answer, so that one server that hangs
	// does not keep us from asking the others.
	answerTimeout = 2 * time.Second
)

// status is what a server says of itself.
type status struct {
	server *Server
	mode   string // leader, follower, observer, standalone; "" when it does not serve
	epoch  uint64 // of its last transaction: each new leader has a higher one
	err    error  // why it does not serve
}

func (st status) serves() bool { return st.mode != "" }

func (st status) leads() bool { return st.mode == "leader" || st.mode == "standalone" }

func (st status) String() string {
	if st.err != nil {
		return fmt.Sprintf("%v: %v", st.server, st.err)
	}
	return fmt.Sprintf("%v: %s", st.server, st.mode)
}

// Leader returns the server that leads, or the standalone server. It waits until
// there is a leader that a majority of the servers serves with, or until ctx
// ends; then the error says how each server was. Dead and stopped servers are
// never the leader. A nil Ensemble has no leader.
func (e *Ensemble) Leader(ctx context.Context) (*Server, error) {
	if e == nil {
		return nil, errors.New("ensemble: leader of a nil Ensemble")
	}
	var leader *Server
	var all []status
	err := poll(ctx, func() (bool, error) {
		all = e.survey(ctx)
		leader = leaderOf(all)
		return leader != nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("ensemble: no leader: %w%s", err, report(all))
	}
	return leader, nil
}

// WaitServing waits until every server that runs and is not stopped serves
// clients and one of them leads. It fails when ctx ends, and at once when no
// server runs.
func (e *Ensemble) WaitServing(ctx context.Context) error {
	if err := e.waitServing(ctx, false); err != nil {
		return fmt.Errorf("ensemble: %w", err)
	}
	return nil
}

// waitServing is WaitServing. With all set, a server that has ended is a failure.
func (e *Ensemble) waitServing(ctx context.Context, all bool) error {
	var last []status
	err := poll(ctx, func() (bool, error) {
		last = e.survey(ctx)
		running, serving, leading := 0, 0, 0
		for _, st := range last {
			if errors.Is(st.err, errDead) && all {
				return false, errors.New("a server ended")
			}
			if !errors.Is(st.err, errDead) && !errors.Is(st.err, errStopped) {
				running++
			}
			if st.serves() {
				serving++
			}
			if st.leads() {
				leading++
			}
		}
		if running == 0 {
			return false, errors.New("no server is running")
		}
		// Followers whose leader has just died say "follower" for a moment more:
		// that is why there must be a leader too.
		return serving == running && leading > 0, nil
	})
	if err != nil {
		return fmt.Errorf("servers do not serve: %w%s", err, report(last))
	}
	return nil
}

// survey asks every server.
func (e *Ensemble) survey(ctx context.Context) []status {
	all := make([]status, len(e.servers))
	for i, s := range e.servers {
		all[i] = s.status(ctx)
	}
	return all
}

// leaderOf returns the leader, or nil when there is none that a majority serves
// with. A leader that was frozen and has just woken up still takes itself for
// one: the one with the newest epoch counts.
func leaderOf(all []status) *Server {
	var leader status
	serving := 0
	for _, st := range all {
		if !st.serves() {
			continue
		}
		serving++
		if st.leads() && (leader.server == nil || st.epoch > leader.epoch) {
			leader = st
		}
	}
	if 2*serving <= len(all) {
		return nil
	}
	return leader.server
}

// report says for an error how each server is, with the log of those that do not
// serve.
func report(all []status) string {
	var b strings.Builder
	for _, st := range all {
		fmt.Fprintf(&b, "\n%v", st)
		if !st.serves() {
			b.WriteString(st.server.logTail())
		}
	}
	return b.String()
}

// poll calls done until it reports true or fails, or until ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}
