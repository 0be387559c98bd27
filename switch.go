package zkstream

import "context"

// Switch returns a stream of the snapshots of another stream, the one that open returns for the newest snapshot
// of s. When s has a newer snapshot, that stream is closed, and open is called again. From then on
// nothing of the stream before is delivered, not even what has not been received yet; [Stream.Latest] alone keeps
// it until there is something newer. Switch is for following a reference: s has the path that stands in a node,
// and open returns a stream of the node with that path. open is called for each snapshot of s, also if it is the
// same as before; [Distinct] leaves those out.
//
// Switch owns s and what open returns, and calls open as [Map] does. The context that open gets ends with the
// stream that it returns, and, while open is running, with s and with the result. open may return nil; then
// nothing is delivered until s has a newer snapshot. The result ends as soon as s or the newest stream of open
// ends, with its reason, after what that stream had last. If a reference may lead nowhere for a while, open
// should return a stream that goes on then, as those of nodes do, or nil.
func Switch[K, T any](s *Stream[K], open func(ctx context.Context, k K) *Stream[T]) *Stream[T] {
	w := &switcher[K, T]{keys: s, out: newStream[T](s.tasks), open: open}
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	s.watch(func() { // called with s.mu held
		if s.err != nil {
			w.cancel(s.err)
		}
	})
	return operate(s.tasks, w.out, owner{s, w}, w.run)
}

type switcher[K, T any] struct {
	keys   *Stream[K]
	out    *Stream[T]
	open   func(context.Context, K) *Stream[T]
	ctx    context.Context // ends with keys and with out; the parent of what open gets
	cancel context.CancelCauseFunc

	// Used by run only.
	values *Stream[T]              // what open returned last; nil if nothing
	stop   context.CancelCauseFunc // ends what open got then
}

// Close is called when out ends.
func (w *switcher[K, T]) Close() { w.cancel(ErrClosed) }

func (w *switcher[K, T]) run() error {
	defer w.drop()
	for {
		var values <-chan T // nil, and so never ready, if there is no stream
		if w.values != nil {
			values = w.values.ch
		}
		select {
		case k, ok := <-w.keys.ch:
			if !ok {
				w.deliverLast(values)
				return w.keys.Err()
			}
			w.turn(k)
		case v, ok := <-values:
			// Both may have been ready. Then v is of the stream before, or its end is of no interest.
			select {
			case k, more := <-w.keys.ch:
				if more {
					w.turn(k)
					continue
				}
				if ok {
					w.out.publish(v)
				}
				return w.keys.Err()
			default:
			}
			if !ok {
				return w.values.Err()
			}
			w.out.publish(v)
		}
	}
}

// turn replaces the stream by that for k.
func (w *switcher[K, T]) turn(k K) {
	w.drop()
	w.out.retract()
	ctx, stop := context.WithCancelCause(w.ctx)
	w.stop = stop
	w.values = w.open(ctx, k)
}

// drop closes the stream.
func (w *switcher[K, T]) drop() {
	if w.values != nil {
		w.values.Close()
		w.values = nil
	}
	if w.stop != nil {
		w.stop(ErrClosed)
		w.stop = nil
	}
}

// deliverLast delivers what the stream had last.
func (w *switcher[K, T]) deliverLast(values <-chan T) {
	select {
	case v, ok := <-values:
		if ok {
			w.out.publish(v)
		}
	default:
	}
}
