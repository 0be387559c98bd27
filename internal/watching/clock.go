package watching

import "time"

// Seconds is a time, counted from when the process began. A stream has room for that, where a time.Time would cost
// each of them 24 bytes.
type Seconds uint32

var processBegan = time.Now()

// Now returns the present time. It is taken once for all subscribers that a snapshot goes to: of what it takes to hand the snapshot
// to one of them, the clock would be half.
func Now() Seconds { return Seconds(time.Since(processBegan) / time.Second) }

// Since returns how long ago that was.
func Since(t Seconds) time.Duration { return time.Duration(Now()-t) * time.Second }
