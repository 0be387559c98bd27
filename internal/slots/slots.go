// Package slots is about channels in which a newer value takes the place of an older one of the same kind.
package slots

import "reflect"

// An Item is the value of a slot.
type Item[T any] struct {
	Slot  int
	Value T
}

// A Queue is what is in a channel that has room for one value of each slot.
//
// A newer value must take the place of an older one of its slot. A channel has no such operation, so everything is taken
// out and put in again. Only one goroutine at a time does so, by the lock of the Queue's owner, but others may receive
// meanwhile.
type Queue[T any] struct {
	ch     chan T
	sent   []Item[T] // what was in the channel when it was filled, in order
	places []int     // by slot: one more than its index in what is put in now, or 0
}

// NewQueue returns the queue of a channel, whose capacity is the number of slots.
func NewQueue[T any](ch chan T) *Queue[T] { return &Queue[T]{ch: ch, places: make([]int, cap(ch))} }

// Put puts items into the channel.
func (q *Queue[T]) Put(items []Item[T]) {
	waiting := q.Take()
	for i, w := range waiting {
		q.places[w.Slot] = i + 1
	}
	for _, n := range items {
		if place := q.places[n.Slot]; place > 0 {
			waiting[place-1] = n
			continue
		}
		waiting = append(waiting, n)
		q.places[n.Slot] = len(waiting)
	}
	for _, w := range waiting {
		q.ch <- w.Value // there is room: a slot has one value at most, and nobody else sends
		q.places[w.Slot] = 0
	}
	q.sent = waiting
}

// Take takes everything out of the channel. Nothing that is received meanwhile is in the result, unless values cannot be
// compared.
func (q *Queue[T]) Take() []Item[T] {
	left := q.sent[len(q.sent)-len(q.ch):] // the channel is first in, first out
	q.sent = nil
	var values []T
	for range left {
		select {
		case v, ok := <-q.ch:
			if ok {
				values = append(values, v)
			}
		default:
		}
	}
	if len(values) < len(left) {
		left = stillThere(left, values)
	}
	return left
}

// stillThere returns those of left whose values were there when a consumer had received some of them meanwhile: which
// ones it received depends on who was faster at each. Where two values are equal it makes no difference which
// of them counts as received. Where values cannot be compared, everything counts as still there.
func stillThere[T any](left []Item[T], values []T) []Item[T] {
	var found []Item[T]
	for _, l := range left {
		if len(values) > 0 && equal(l.Value, values[0]) {
			found = append(found, l)
			values = values[1:]
		}
	}
	if len(values) > 0 {
		return left
	}
	return found
}

// equal reports whether a == b; false if that cannot be asked.
func equal[T any](a, b T) bool {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	return x.Comparable() && y.Comparable() && x.Equal(y)
}
