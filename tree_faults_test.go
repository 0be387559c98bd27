package zkstream_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	gopath "path"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// plant makes nodes whose content is their path.
func plant(t *testing.T, server *zktest.Server, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := server.Create(path, []byte(path)); err != nil {
			t.Fatal(err)
		}
	}
}

// remove deletes nodes, in this order.
func remove(t *testing.T, server *zktest.Server, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := server.Delete(path); err != nil {
			t.Fatal(err)
		}
	}
}

func newest(s *zkstream.Stream[zkstream.Tree]) string {
	t, ok := s.Latest()
	if !ok {
		return "nothing"
	}
	return lines(t)
}

// reads reports whether a request reads path, alone or among others.
func reads(r zktest.Request, path string) bool {
	for _, op := range r.Multi {
		if op.Path == path {
			return true
		}
	}
	return r.Path == path
}

func TestANodeThatVanishesBeforeItIsReadIsLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/x", "/a/c")
		var gone atomic.Bool
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op != zktest.OpSetWatches && reads(r, "/a/b") && gone.CompareAndSwap(false, true) {
				return zktest.Fault{Delay: time.Second} // it is read when it is gone
			}
			return zktest.Fault{}
		})
		s := c.Tree(t.Context(), "/a")
		synctest.Wait()
		if got := newest(s); got != "nothing" {
			t.Fatalf("before all was read there was a snapshot: %s", got)
		}
		if !gone.Load() {
			t.Fatal("the node was not asked for")
		}
		remove(t, server, "/a/b/x", "/a/b")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		same(t, "the tree", newest(s), "/a=/a /a/c=/a/c")
		if s.Err() != nil {
			t.Error(s.Err())
		}
	})
}

func TestTheFirstSnapshotWaitsForTheLastNode(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/c")
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op != zktest.OpSetWatches && reads(r, "/a/b/c") {
				return zktest.Fault{Delay: 2 * time.Second}
			}
			return zktest.Fault{}
		})
		s := c.Tree(t.Context(), "/a")
		time.Sleep(time.Second)
		synctest.Wait()
		// Changes meanwhile are in the first snapshot, or in one after it.
		if err := server.Set("/a/b", []byte("new")); err != nil {
			t.Fatal(err)
		}
		plant(t, server, "/a/d")
		synctest.Wait()
		same(t, "before the last node was read, the tree", newest(s), "nothing")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		same(t, "the tree", newest(s), "/a=/a /a/b=new /a/b/c=/a/b/c /a/d=/a/d")
	})
}

// A child is deleted and made again, and the list of its parent is slow to come: the new child is not shown beside one
// that had gone before it came.
func TestANewChildIsNotShownInAnOldList(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/c")
		s := c.Tree(t.Context(), "/a", zkstream.WithDepth(1))
		synctest.Wait()
		same(t, "the tree", newest(s), "/a=/a /a/b=/a/b /a/c=/a/c")
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Path == "/a" || r.Path == "/a/c" {
				return zktest.Fault{Delay: time.Second}
			}
			return zktest.Fault{}
		})
		remove(t, server, "/a/c")
		time.Sleep(500 * time.Millisecond)
		remove(t, server, "/a/b")
		plant(t, server, "/a/c")
		for range 500 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			tree, _ := s.Latest()
			_, old := tree.Get("/a/b")
			again, _ := tree.Get("/a/c")
			_, stat, err := server.Get("/a/c")
			if err != nil {
				t.Fatal(err)
			}
			if old && again.Stat().Czxid == stat.Czxid {
				t.Fatal("the new /a/c is beside the old /a/b")
			}
		}
		same(t, "the tree", newest(s), "/a=/a /a/c=/a/c")
	})
}

// The first child of a leaf comes between the reading of the leaf and the setting of its watch.
func TestTheFirstChildOfALeafIsNotMissed(t *testing.T) {
	for _, version := range []string{"", "3.5.10"} {
		t.Run(version, func(t *testing.T) {
			var opts []zktest.Option
			if version != "" {
				opts = append(opts, zktest.WithVersion(version))
			}
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				plant(t, server, "/a", "/a/b", "/a/c", "/a/d", "/a/e", "/a/f")
				var slow atomic.Int64
				server.Intercept(func(r zktest.Request) zktest.Fault {
					if r.Op == zktest.OpSetWatches {
						slow.Add(1)
						return zktest.Fault{Delay: time.Second}
					}
					return zktest.Fault{}
				})
				s := c.Tree(t.Context(), "/a")
				synctest.Wait()
				same(t, "the number of nodes", len(strings.Fields(newest(s))), 6)
				plant(t, server, "/a/b/1", "/a/b/1/2")
				time.Sleep(5 * time.Second)
				synctest.Wait()
				same(t, "the tree", newest(s), "/a=/a /a/b=/a/b /a/b/1=/a/b/1 /a/b/1/2=/a/b/1/2 /a/c=/a/c /a/d=/a/d /a/e=/a/e /a/f=/a/f")
				plant(t, server, "/a/f/1")
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if !strings.Contains(newest(s), "/a/f/1") {
					t.Errorf("the child of /a/f is missing: %s", newest(s))
				}
				if slow.Load() == 0 {
					t.Error("no watch was set by SetWatches")
				}
			}, opts...)
		})
	}
}

// Random changes under random faults: in the end the tree is the server's, and no node ever goes back.
func TestTreesConvergeUnderFaults(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) { stormOnATree(t, server, c, seed) })
		})
	}
}

func stormOnATree(t *testing.T, server *zktest.Server, c *zkstream.Client, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	var calm atomic.Bool
	delays := rand.New(rand.NewPCG(seed, 1))
	slots := make(chan struct{}, 1)
	server.Intercept(func(zktest.Request) zktest.Fault {
		if calm.Load() {
			return zktest.Fault{}
		}
		slots <- struct{}{}
		defer func() { <-slots }()
		switch delays.IntN(40) {
		case 0:
			return zktest.Fault{LoseReply: true, Drop: true}
		case 1, 2, 3, 4:
			return zktest.Fault{Delay: time.Duration(delays.IntN(50)) * time.Millisecond}
		}
		return zktest.Fault{}
	})
	s := c.Tree(t.Context(), "/t")
	seen := map[string]int64{}
	var before zkstream.Tree
	for range 300 {
		path := "/t"
		for range r.IntN(4) {
			path += fmt.Sprintf("/%d", r.IntN(3))
		}
		switch r.IntN(3) {
		case 0:
			server.Create(path, fmt.Append(nil, r.IntN(1000)))
		case 1:
			server.Set(path, fmt.Append(nil, r.IntN(1000)))
		case 2:
			nodes := server.Nodes(path)
			for i := range nodes {
				server.Delete(nodes[len(nodes)-1-i].Path)
			}
		}
		switch r.IntN(60) {
		case 0:
			server.Disconnect()
		case 1:
			server.ExpireAll()
		}
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		select {
		case now := <-s.C():
			for ch := range now.Diff(before) {
				if !ch.New.Exists() {
					continue
				}
				if zxid := ch.New.Stat().Mzxid; zxid <= seen[ch.Path] {
					t.Fatalf("%s went from zxid %d to %d", ch.Path, seen[ch.Path], zxid)
				} else {
					seen[ch.Path] = zxid
				}
			}
			for d := range now.All() {
				if parent, _ := now.Get(gopath.Dir(d.Path())); parent.Stat().Czxid > d.Stat().Czxid {
					t.Fatalf("%s is older than its parent", d.Path())
				}
			}
			before = now
		default:
		}
	}
	calm.Store(true)
	time.Sleep(30 * time.Second)
	synctest.Wait()
	var want []string
	for _, n := range server.Nodes("/t") {
		want = append(want, n.Path+"="+string(n.Data))
	}
	got, _ := s.Latest()
	if lines(got) != strings.Join(want, " ") {
		t.Fatalf("the tree is\n%s\nwant\n%s", lines(got), strings.Join(want, " "))
	}
	for d := range got.All() {
		_, stat, err := server.Get(d.Path())
		if err != nil || stat.Mzxid != d.Stat().Mzxid || stat.Czxid != d.Stat().Czxid {
			t.Errorf("%s has zxid %d, want %d (%v)", d.Path(), d.Stat().Mzxid, stat.Mzxid, err)
		}
	}
	s.Close()
	synctest.Wait()
	nothingFollowed(t, c)
}

// A stream of a node's content is not told when the node gets a child, so what it knows of the children may be old,
// however new the content is known to be.
func TestAChildThatCameBeforeTheTreeWasOpenedIsInIt(t *testing.T) {
	for name, confirm := range map[string]func(*zktest.Server){
		"nothing":   func(*zktest.Server) {},
		"a recheck": func(*zktest.Server) { time.Sleep(2 * time.Minute) },
		"a read":    func(server *zktest.Server) { server.ExpireAll(); time.Sleep(time.Minute) },
		"both":      func(server *zktest.Server) { server.ExpireAll(); time.Sleep(3 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				plant(t, server, "/a")
				content := c.Data(t.Context(), "/a")
				synctest.Wait()
				if n, ok := content.Latest(); !ok || !n.Exists() {
					t.Fatalf("the content is %v", n)
				}
				plant(t, server, "/a/b")
				confirm(server)
				s := c.Tree(t.Context(), "/a")
				time.Sleep(time.Second)
				synctest.Wait()
				same(t, "the tree", newest(s), "/a=/a /a/b=/a/b")
			})
		})
	}
}

// As above, but the content has been read again since, and found to be what it was.
func TestAChildThatCameBeforeTheContentWasReadAgainIsInTheTree(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a")
		content := c.Data(t.Context(), "/a")
		synctest.Wait()
		plant(t, server, "/a/b")
		server.ExpireAll()
		time.Sleep(5 * time.Second)
		plant(t, server, "/other") // so that zxids have gone on
		if n, ok := content.Latest(); !ok || !n.Exists() {
			t.Fatalf("the content is %v", n)
		}
		s := c.Tree(t.Context(), "/a")
		time.Sleep(time.Second)
		synctest.Wait()
		same(t, "the tree", newest(s), "/a=/a /a/b=/a/b")
	})
}

// What a tree finds in the table may be of a connection that is lost. Its first snapshot waits for the list that comes next,
// with all nodes in it, since they may have been there when the tree was opened.
func TestTheFirstSnapshotHasWhatCameWhileTheConnectionWasLost(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/x")
		before := c.Tree(t.Context(), "/a", zkstream.WithDepth(1))
		synctest.Wait()
		same(t, "the tree before", newest(before), "/a=/a /a/b=/a/b")
		server.Partition(true)
		synctest.Wait()
		plant(t, server, "/a/c", "/a/d")
		s := c.Tree(t.Context(), "/a")
		time.Sleep(100 * time.Millisecond)
		server.Partition(false)
		first, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the first snapshot", lines(first), "/a=/a /a/b=/a/b /a/b/x=/a/b/x /a/c=/a/c /a/d=/a/d")
	})
}

// Trees of several shapes share what was read. What one of them does with it is no news to the others.
func TestTreesOfSeveralShapesAreNotDeliveredTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/x")
		s := c.Tree(t.Context(), "/a", zkstream.WithoutData())
		var deliveries []string
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for tree := range s.All() {
				deliveries = append(deliveries, lines(tree))
			}
		}()
		synctest.Wait()
		c.Tree(t.Context(), "/a")
		c.Tree(t.Context(), "/a", zkstream.WithDepth(1), zkstream.WithoutData())
		synctest.Wait()
		plant(t, server, "/a/c")
		synctest.Wait()
		server.ExpireAll()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Close()
		<-stop
		if len(deliveries) > 3 { // the first, the new list, and the new node
			t.Errorf("deliveries of a tree that has changed once: %q", deliveries)
		}
	})
}

// The content of a node is closed to the client while its children are known, and opened again: the children do not go meanwhile.
func TestTheChildrenOfANodeThatIsClosedForAWhileStay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for _, path := range []string{"/t", "/t/n", "/t/n/child"} {
			plant(t, server, path)
		}
		s := c.Tree(t.Context(), "/t")
		next(t, s)
		closed := zktest.ACL{Perms: zk.PermAll &^ zk.PermRead, Scheme: "world", ID: "anyone"}
		open := zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}
		if err := errors.Join(server.SetACL("/t/n", closed), server.Set("/t/n", []byte("hidden"))); err != nil {
			t.Fatal(err)
		}
		states := ""
		time.AfterFunc(2*time.Minute, func() { server.SetACL("/t/n", open) })
		for tree := range s.All() {
			if _, found := tree.Get("/t/n/child"); !found {
				t.Error("the child has gone")
			}
			n, _ := tree.Get("/t/n")
			if states += "."; n.String() == "hidden" {
				break
			}
		}
		if len(states) < 2 {
			t.Error("the node was never closed")
		}
	})
}
