package watching

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A bench is a Supervisor whose connection the test plays. Paths are below the chroot /root.
type bench struct {
	*Supervisor
	t       *testing.T
	resyncs []string
	many    bool            // watches, so that not each step is checked
	logged  strings.Builder // debug lines, too
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t}
	note := func(what string) func(Resync) {
		return func(r Resync) {
			b.resyncs = append(b.resyncs, fmt.Sprintf("%s: resumed %t, %d set again, %d read, after %v", what, r.Resumed, r.Rearmed, r.Read, r.Took))
		}
	}
	log := slog.New(slog.NewTextHandler(&b.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.Supervisor = New(Config{Log: log, Chroot: "/root", OnResync: note("begun"), OnResynced: note("done")})
	b.Start(&zkconn.Conn{}) // which has no session, so that it asks for nothing by itself
	return b
}

// A follower is a stream as a Supervisor sees it.
type follower struct {
	b     *bench
	watch Watch
	got   []string
	ended error
	place int32
}

func (f *follower) Put(r Reading) {
	text := fmt.Sprintf("%s %q", r.Node.Path(), r.Node.Data())
	if names := r.Node.Names(); names != nil {
		text = fmt.Sprintf("%s %q", r.Node.Path(), names)
	}
	if !r.Node.Exists() {
		text = r.Node.Path() + " missing"
	}
	if !r.Changed {
		text += " unchanged"
	}
	f.got = append(f.got, text)
}

func (f *follower) End(reason error) bool {
	f.ended = reason
	return true
}

func (f *follower) Place() *int32 { return &f.place }

// A treeFollower is a stream of a tree as a Supervisor sees it.
type treeFollower struct {
	changes int // snapshots that are not like the one before
	ended   error
	place   int32
}

func (f *treeFollower) Put(a Assembled) {
	if a.Changed {
		f.changes++
	}
}

func (f *treeFollower) End(reason error) bool {
	f.ended = reason
	return true
}

func (f *treeFollower) Place() *int32 { return &f.place }

// wants checks what the follower has been given since the last call.
func (f *follower) wants(want ...string) {
	f.b.t.Helper()
	f.b.mu.Lock() // Put is called with it held
	defer f.b.mu.Unlock()
	if !slices.Equal(f.got, want) {
		f.b.t.Errorf("the stream was given %q, want %q", f.got, want)
	}
	f.got = nil
}

func (f *follower) leave() {
	f.b.t.Helper()
	f.b.Leave(f.watch, f)
	f.b.check()
}

func (b *bench) check() {
	b.t.Helper()
	if b.many {
		return
	}
	if err := b.Check(); err != nil {
		b.t.Error(err)
	}
}

// follow opens a stream on path.
func (b *bench) follow(path string, k kind) *follower {
	b.t.Helper()
	f := &follower{b: b}
	if err := b.Join(path, k, f, func(w Watch) { f.watch = w }); err != nil {
		b.t.Fatal(err)
	}
	b.check()
	return f
}

// asked takes all that is stale, and checks that it is this: paths as the server has them, with the kind.
func (b *bench) asked(want ...string) []zkconn.Watch {
	b.t.Helper()
	ws := b.Next(1, func(int) bool { return true })
	b.check()
	if got := named(ws); !slices.Equal(got, want) {
		b.t.Errorf("%q is asked for, want %q", got, want)
	}
	return ws
}

func named(ws []zkconn.Watch) (names []string) {
	for _, w := range ws {
		names = append(names, w.Kind.String()+" "+w.Path())
	}
	return names
}

// is checks the state of a watch; path is as the server has it.
func (b *bench) is(path string, k kind, want watchState) {
	b.t.Helper()
	got := none
	if w, found := b.findLocked(path, k); found {
		got = w.state
	}
	if got != want {
		b.t.Errorf("the %v watch of %s is in state %d, want %d", k, path, got, want)
	}
}

// holding is an answer of that content, as new as zxid; with the watch set, as a read of one node has it.
func holding(zxid int64, data string) *zkconn.Answer {
	return &zkconn.Answer{Exists: true, Data: data, Stat: zk.Stat{Czxid: 1, Mzxid: zxid, DataLength: int32(len(data))}, Zxid: zxid, Armed: true}
}

// unarmed is a, as a batch has it.
func unarmed(a *zkconn.Answer) *zkconn.Answer {
	a.Armed = false
	return a
}

func missing(zxid int64) *zkconn.Answer { return &zkconn.Answer{Zxid: zxid, Armed: true} }

// answer is Answered, and reports whether the watch is to be set.
func (b *bench) answer(w zkconn.Watch, a *zkconn.Answer) (arm bool) {
	b.Answered(w, a)
	return watchOf(w).state == arming
}

// read has the one stale watch read, and reports whether it is to be set.
func (b *bench) read(a *zkconn.Answer) (arm bool) {
	b.t.Helper()
	ws := b.Next(1, func(int) bool { return true })
	if len(ws) != 1 {
		b.t.Fatalf("%q is asked for", named(ws))
	}
	arm = b.answer(ws[0], a)
	b.check()
	return arm
}
