package watching

import (
	"iter"

	"github.com/zkstream/zkstream/internal/member"
)

// A Subscriber gets what is new of a watch, or of a tree. Its methods are called with the Supervisor's lock held, so they do
// not block.
type Subscriber[V any] interface {
	Put(V)

	// End says that nothing comes any more: zkconn.ErrClosed when the Supervisor has stopped, otherwise what has failed. It
	// reports whether a stream of the user's has ended by that, for Stats.
	End(reason error) bool

	Place() *int32 // for the set that it is in
}

// subscribers is a set of subscribers.
type subscribers[V any] []Subscriber[V]

func (l *subscribers[V]) add(s Subscriber[V]) {
	*l = member.Add(*l, s, Subscriber[V].Place)
}

// remove takes s out, and reports whether it was in.
func (l *subscribers[V]) remove(s Subscriber[V]) (removed bool) {
	*l, removed = member.Remove(*l, s, Subscriber[V].Place)
	return removed
}

func (l subscribers[V]) put(v V) {
	for _, s := range l {
		s.Put(v)
	}
}

// end ends all, and returns how many streams of the user's that were.
func (l subscribers[V]) end(reason error) (streams int) {
	for _, s := range l {
		if s.End(reason) {
			streams++
		}
	}
	return streams
}

// followers is the set of a watch's subscribers. Most have one, for which two words do.
type followers struct {
	one Subscriber[Reading] // which may be a crowd
}

// A crowd is more than one subscriber, or what is left of them.
type crowd struct {
	Subscriber[Reading] // none: it stands for many
	subs                subscribers[Reading]
}

func (f *followers) add(s Subscriber[Reading]) {
	switch one := f.one.(type) {
	case nil:
		f.one = s
	case *crowd:
		one.subs.add(s)
	default:
		c := &crowd{}
		c.subs.add(one)
		c.subs.add(s)
		f.one = c
	}
}

// remove takes s out, if it is in.
func (f *followers) remove(s Subscriber[Reading]) {
	c, many := f.one.(*crowd)
	switch {
	case !many && f.one == s:
		f.one = nil
	case !many:
	default:
		if c.subs.remove(s); len(c.subs) == 1 {
			f.one = c.subs[0]
		}
	}
}

func (f *followers) len() int {
	switch one := f.one.(type) {
	case nil:
		return 0
	case *crowd:
		return len(one.subs)
	}
	return 1
}

// all ranges over the subscribers.
func (f *followers) all() iter.Seq[Subscriber[Reading]] {
	return func(yield func(Subscriber[Reading]) bool) {
		switch one := f.one.(type) {
		case nil:
		case *crowd:
			for _, s := range one.subs {
				if !yield(s) {
					return
				}
			}
		default:
			yield(one)
		}
	}
}

func (f *followers) put(r Reading) {
	for s := range f.all() {
		s.Put(r)
	}
}

// end ends all, and returns how many streams of the user's that were.
func (f *followers) end(reason error) (streams int) {
	for s := range f.all() {
		if s.End(reason) {
			streams++
		}
	}
	return streams
}
