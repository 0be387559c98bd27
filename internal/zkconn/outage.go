package zkconn

import (
	"errors"
	"time"
)

const (
	firstSummary = 10 * time.Second // after the first failure; the time to the next one doubles
	summaryMost  = 10 * time.Minute
	kindsMost    = 8 // of failures that are logged in one outage
)

// outage decides what is logged of the attempts to connect: the first failure of each kind, then a summary now
// and then, then the end. It lasts until a connection has lasted.
type outage struct {
	since    time.Time // of the first failure; zero: there has been none
	attempts int
	kinds    map[string]bool
	summary  time.Time     // when the next one is due
	interval time.Duration // from that to the one after it
	over     bool          // there has been a session since
}

// failed notes a failure, and reports whether it is to be logged, and whether a summary is.
func (o *outage) failed(err error, now time.Time) (first, summary bool) {
	if o.since.IsZero() {
		*o = outage{since: now, kinds: map[string]bool{}, summary: now.Add(firstSummary), interval: 2 * firstSummary}
	}
	o.attempts++
	kind := kindOf(err)
	if first = !o.kinds[kind] && len(o.kinds) < kindsMost; first {
		o.kinds[kind] = true
	}
	if summary = !now.Before(o.summary); summary {
		o.summary = now.Add(o.interval)
		o.interval = min(2*o.interval, summaryMost)
	}
	return first, summary
}

// connected notes a session, and reports whether the end of the outage is to be logged.
func (o *outage) connected() bool {
	ended := !o.since.IsZero() && !o.over
	o.over = ended || o.over
	return ended
}

// kindOf returns what err has in common with others of its kind: the text of the innermost error, for those
// around it name addresses and ports.
func kindOf(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
