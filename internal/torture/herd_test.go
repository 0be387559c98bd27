package main

import (
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

func TestTortureOfAHerd(t *testing.T) {
	alone(t)
	e := ensemble.Start(t, 3)
	got, err := herd(t.Context(), e.Servers(), joinZkstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("zkstream: %v", got)
	if got.most > herdMost || got.last > herdLast+slack {
		t.Errorf("%v; want at most %d, and all after %v", got, herdMost, herdLast)
	}
}

func TestComebackCountsWindows(t *testing.T) {
	end := time.Unix(1000, 0)
	at := func(ms ...int) (all []time.Time) {
		for _, ms := range ms {
			all = append(all, end.Add(time.Duration(ms)*time.Millisecond))
		}
		return all
	}
	for _, c := range []struct {
		backs []time.Time
		want  returned
	}{
		{at(500, 10, 200), returned{1, 500 * time.Millisecond}},
		{at(10, 60, 61, 110), returned{3, 110 * time.Millisecond}},
		{at(5, 5, 5), returned{3, 5 * time.Millisecond}},
	} {
		if got := comeback(end, c.backs); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.backs, got, c.want)
		}
	}
}
