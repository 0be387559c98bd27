package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktree"
)

// TestLinksUnderRandomFaults moves links that clients follow, through random schedules of faults. It is a world of its own, beside that of
// TestSimulation: its one promise is that no stream delivers an old target after a newer one, and that all arrive at
// the last one, the registration as well.
func TestLinksUnderRandomFaults(t *testing.T) {
	first, n := *firstSeed, *seedCount
	switch {
	case n == 0 && first != 0:
		n = 1
	case n == 0 && (raceEnabled || testing.Short()):
		n = 10
	case n == 0:
		n = 40
	}
	for seed := max(first, 1); n > 0; seed, n = seed+1, n-1 {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { followLinks(t, seed) })
		}) && *stopAtFirst {
			return
		}
	}
}

// The path that is followed leads through two links, each in a node of its own, to a target with a number. The first says which of
// several second ones is taken. Only moves to higher numbers are made.
const (
	linkPath   = "/front/at"
	linkSecond = "/back"
	linkTarget = "/targets/t"
)

// linkWorld is a schedule of moves and faults.
type linkWorld struct {
	t       *testing.T
	rng     *rand.Rand
	servers *zktest.Ensemble
	second  []int // targets of the second links
	taken   int   // which of them the first link leads to
	made    int   // targets so far

	mu       sync.Mutex // guards what follows
	failures int        // per hundred requests
	hundred  *rand.Rand
}

func followLinks(t *testing.T, seed uint64) {
	w := &linkWorld{t: t, rng: rand.New(rand.NewPCG(seed, 1)), hundred: rand.New(rand.NewPCG(seed, 2)), second: make([]int, 3)}
	w.servers = zktest.StartEnsemble(t, 1+2*w.rng.IntN(2), zktest.WithTickTime(500*time.Millisecond))
	w.servers.Intercept(w.intercept)
	w.set("/front", `{"at ->": "../back/l0"}`)
	w.set("/user", `{"n =>": "../front/at"}`)
	for i := range w.second {
		w.second[i] = w.target()
	}
	w.setSecond()

	var follow sync.WaitGroup
	var clients []*zkstream.Client
	for range 1 + w.rng.IntN(2) {
		c, err := zkstream.Connect(context.Background(), strings.Join(w.servers.DialAddrs(), ","),
			zkstream.WithDialer(w.servers.Dial), zkstream.WithSessionTimeout(4*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		ctx := context.Background()
		watchLink(w, &follow, zktree.Follow(ctx, c, linkPath), func(r zktree.Resolution) int { return numberOf(r.Path) })
		watchLink(w, &follow, zktree.Children(ctx, c, linkPath), func(c zkstream.Children) int { return numberOf(c.Path()) })
		watchLink(w, &follow, zktree.Data(ctx, c, linkPath), func(d zkstream.Data) int { return numberOf(d.Path()) })
		watchLink(w, &follow, zktree.Instances(ctx, c, linkPath), func(i zkstream.Instances) int { return numberOf(i.Path()) })
		watchLink(w, &follow, zktree.Properties(ctx, c, "/user"), func(p zkstream.Properties) int {
			n, err := zkstream.Value[int](p, "n")
			if err != nil {
				return -1
			}
			return n
		})
	}
	r, err := zktree.Register(context.Background(), clients[0], linkPath, "10.0.0.1:80", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 + w.rng.IntN(60) {
		w.step()
		w.pause()
	}

	w.heal()
	w.second[w.taken] = w.target()
	w.setSecond()
	time.Sleep(2 * time.Minute) // longer than any session or pause
	synctest.Wait()
	last := linkTarget + strconv.Itoa(w.second[w.taken])
	if r.Path() != last+"/10.0.0.1:80" {
		t.Errorf("the registration is at %s, want it in %s: %v", r.Path(), last, r.Refusal())
	}
	for _, n := range w.servers.Nodes("/targets") {
		if n.Session != 0 && !strings.HasPrefix(n.Path, last+"/") {
			t.Errorf("a registration is left at %s", n.Path)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range clients {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	follow.Wait()
	w.servers.Close()
}

// numberOf returns the number of a target, -1 of other paths.
func numberOf(path string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(path, linkTarget))
	if err != nil {
		return -1
	}
	return n
}

// watchLink checks what a stream delivers, until its client closes.
func watchLink[T any](w *linkWorld, wait *sync.WaitGroup, s *zkstream.Stream[T], number func(T) int) {
	slow := w.rng.IntN(3) == 0
	wait.Go(func() {
		var last T
		newest := -1
		for v := range s.All() {
			n := number(v)
			if n >= 0 && n < newest {
				w.t.Errorf("%T: target %d after %d", v, n, newest)
			}
			newest, last = max(newest, n), v
			if slow {
				time.Sleep(700 * time.Millisecond)
			}
		}
		if !errors.Is(s.Err(), zkstream.ErrClosed) {
			w.t.Errorf("%T: the stream has ended: %v", last, s.Err())
		}
		if number(last) != w.second[w.taken] {
			w.t.Errorf("%T: the last target was %d, want %d", last, number(last), w.second[w.taken])
		}
	})
}

// set writes a node, which it makes if it is missing. In an ensemble without a quorum it waits for one.
func (w *linkWorld) set(path, content string) {
	w.t.Helper()
	for {
		err := w.servers.Create(path, []byte(content))
		if errors.Is(err, zktest.ErrNodeExists) {
			err = w.servers.Set(path, []byte(content))
		}
		if !errors.Is(err, zktest.ErrNoQuorum) {
			if err != nil {
				w.t.Fatal(path, err)
			}
			return
		}
		w.heal()
		time.Sleep(time.Second)
	}
}

// target makes the next target.
func (w *linkWorld) target() int {
	w.made++
	w.set(linkTarget+strconv.Itoa(w.made), fmt.Sprintf(`{"n": %d}`, w.made))
	return w.made
}

func (w *linkWorld) setSecond() {
	var links []string
	for i, n := range w.second {
		links = append(links, fmt.Sprintf(`"l%d ->": "%s%d"`, i, linkTarget, n))
	}
	w.set(linkSecond, "{"+strings.Join(links, ", ")+"}")
}

// step moves a link, or has something go wrong.
func (w *linkWorld) step() {
	members := w.servers.Members()
	some := members[w.rng.IntN(len(members))]
	switch w.rng.IntN(14) {
	case 0, 1, 2: // the link that is taken
		w.second[w.taken] = w.target()
		w.setSecond()
	case 3, 4, 5: // another one, and then that is taken
		i := w.rng.IntN(len(w.second))
		w.second[i] = w.target()
		w.setSecond()
		w.pause()
		w.taken = i
		w.set("/front", fmt.Sprintf(`{"at ->": "../back/l%d"}`, i))
	case 6: // a node hides the first link, which is moved meanwhile
		if err := w.servers.Create(linkPath, nil); err == nil {
			w.pause()
			w.second[w.taken] = w.target()
			w.setSecond()
			w.pause()
			w.clear(linkPath)
		}
	case 7:
		w.servers.Disconnect()
	case 8:
		w.servers.ExpireAll()
	case 9:
		some.Freeze(true)
	case 10:
		if w.rng.IntN(2) == 0 {
			some.Lag(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
		} else {
			some.Restart()
		}
	case 11:
		w.fail(20)
	default:
		w.heal()
	}
}

// clear deletes a node with what the registration has put below it, which may be back at once.
func (w *linkWorld) clear(path string) {
	for w.servers.Delete(path) != nil {
		names, _ := w.servers.Children(path)
		for _, name := range names {
			w.servers.Delete(path + "/" + name)
		}
		if len(names) == 0 {
			w.heal()
			time.Sleep(time.Second)
		}
	}
}

func (w *linkWorld) fail(perHundred int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = perHundred
}

func (w *linkWorld) heal() {
	w.fail(0)
	for _, member := range w.servers.Members() {
		member.Freeze(false)
		member.Lag(0)
	}
}

// intercept has some of the requests fail, in ways that pass.
func (w *linkWorld) intercept(r zktest.Request) zktest.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Op == zktest.OpConnect || r.Op == zktest.OpPing || w.hundred.IntN(100) >= w.failures {
		return zktest.Fault{}
	}
	switch w.hundred.IntN(4) {
	case 0:
		return zktest.Fault{Delay: time.Duration(w.hundred.IntN(1000)) * time.Millisecond}
	case 1:
		return zktest.Fault{Drop: true}
	case 2:
		return zktest.Fault{LoseReply: true}
	}
	return zktest.Fault{Code: zktest.ErrMarshalling}
}

func (w *linkWorld) pause() {
	switch w.rng.IntN(4) {
	case 0:
	case 1:
		synctest.Wait()
	case 2:
		time.Sleep(time.Duration(w.rng.IntN(5)) * time.Millisecond)
	default:
		time.Sleep(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	}
}
