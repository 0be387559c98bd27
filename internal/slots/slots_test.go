package slots

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// A consumer receives while the channel is emptied and filled again.
func TestAQueueKnowsWhatHasBeenReceived(t *testing.T) {
	const count, rounds = 4, 100_000
	ch := make(chan int, count)
	q := NewQueue(ch)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			// Only the first slot's values are replaced. Each of the others' must be received before the next comes.
			q.Put([]Item[int]{{0, i * count}})
			if i%8 == 0 {
				for len(ch) > 0 {
					runtime.Gosched()
				}
				q.Put([]Item[int]{{1, i*count + 1}, {2, i*count + 2}, {3, i*count + 3}})
			}
		}
		close(ch)
	})
	counts := make([]int, count)
	newest := make([]int, count)
	for v := range ch {
		slot := v % count
		if v < newest[slot] || v == newest[slot] && v > slot {
			t.Errorf("slot %d: %d after %d", slot, v, newest[slot])
		}
		newest[slot] = v
		counts[slot]++
	}
	wg.Wait()
	for slot := 1; slot < count; slot++ {
		if counts[slot] != rounds/8 {
			t.Errorf("slot %d: received %d values, want %d", slot, counts[slot], rounds/8)
		}
	}
	if newest[0] != (rounds-1)*count {
		t.Errorf("the newest of slot 0 is %d", newest[0])
	}
}

func TestWhatIsStillInTheChannelIsFoundByItsValue(t *testing.T) {
	left := []Item[any]{{0, 1}, {1, "x"}, {2, 1}, {3, 2}}
	slotsOf := func(list []Item[any]) (s []int) {
		for _, q := range list {
			s = append(s, q.Slot)
		}
		return s
	}
	for _, c := range []struct {
		values []any
		want   []int
	}{
		{nil, nil},
		{[]any{2}, []int{3}},
		{[]any{"x", 2}, []int{1, 3}},
		{[]any{1}, []int{0}}, // or 2, which is as good
		{[]any{1, 1}, []int{0, 2}},
		{[]any{1, 2}, []int{0, 3}},
	} {
		if got := slotsOf(stillThere(left, c.values)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	all := []int{0, 1, 2, 3}
	for _, unequal := range []any{[]int{1}, math.NaN(), map[string]int{}, struct{ f func() }{}} {
		left[2].Value = unequal
		if got := slotsOf(stillThere(left, []any{unequal})); !slices.Equal(got, all) {
			t.Errorf("%v: %v, want all", unequal, got)
		}
	}
}
