package zkconn

import (
	"math/rand/v2"
	"time"
)

// Pauses says how long to wait before what failed is tried again. The wait doubles with each failure in a
// row, and its second half is random, so that many clients that failed together do not retry together.
type Pauses struct {
	First time.Duration // at most, after the first failure
	Most  time.Duration // at most, however often it has failed
}

// Every retry of this library waits by one of these.
var (
	// ReconnectPauses are between two rounds in which no server gave a session.
	ReconnectPauses = Pauses{First: 100 * time.Millisecond, Most: 5 * time.Second}
	// CallPauses are between two tries of a call that failed with the connection, or for a reason that passes.
	CallPauses = Pauses{First: 10 * time.Millisecond, Most: 5 * time.Second}
	// ConflictPauses are between two tries of an update that somebody else's was faster than.
	ConflictPauses = Pauses{First: time.Millisecond, Most: 64 * time.Millisecond}
	// RegistrationPauses are between tries to create or delete a registration's node.
	RegistrationPauses = Pauses{First: 100 * time.Millisecond, Most: 30 * time.Second}
	// LookPauses are between looks at a registration's node that is not ours, or whose stream shows something else.
	LookPauses = Pauses{First: time.Second, Most: 30 * time.Second}
	// ReadPauses are between the reads of one node that fail while the connection is up; SyncPauses between syncs.
	ReadPauses = Pauses{First: 100 * time.Millisecond, Most: 10 * time.Second}
	SyncPauses = Pauses{First: 100 * time.Millisecond, Most: 5 * time.Second}
)

// After returns the wait after that many failures in a row; none for less than one.
func (p Pauses) After(failures int) time.Duration {
	if failures < 1 {
		return 0
	}
	d := min(p.First, p.Most)
	for ; failures > 1 && d < p.Most; failures-- {
		d = min(2*d, p.Most)
	}
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}
