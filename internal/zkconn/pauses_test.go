package zkconn

import (
	"testing"
	"time"
)

func TestPausesDoubleAndTheirSecondHalfIsRandom(t *testing.T) {
	p := Pauses{First: 100 * time.Millisecond, Most: time.Second}
	for failures, most := range map[int]time.Duration{
		-1: 0, 0: 0,
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 3: 400 * time.Millisecond, 4: 800 * time.Millisecond,
		5: time.Second, 6: time.Second, 1000000: time.Second,
	} {
		shortest, longest := time.Hour, time.Duration(0)
		for range 1000 {
			d := p.After(failures)
			shortest, longest = min(shortest, d), max(longest, d)
		}
		if shortest < most/2 || longest > most {
			t.Errorf("after %d failures: %v to %v, want %v to %v", failures, shortest, longest, most/2, most)
		}
		if most > 0 && longest-shortest < most/4 {
			t.Errorf("after %d failures: %v to %v, which is hardly random", failures, shortest, longest)
		}
	}
}
