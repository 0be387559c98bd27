package zkstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// An event that does not come, because the server hides it or something on the way loses it, delays a snapshot to the
// next recheck, and the connection stays.

// eventLoss is a network that loses watch events, and nothing else, when told to.
type eventLoss struct {
	on   atomic.Bool
	lost atomic.Int64 // events
}

func (l *eventLoss) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, loss: l}, nil
}

// lossyConn passes on what the server sends frame by frame.
type lossyConn struct {
	net.Conn
	loss  *eventLoss
	frame []byte // what is left of the present one
}

func (c *lossyConn) Read(p []byte) (int, error) {
	for len(c.frame) == 0 {
		var length [4]byte
		if _, err := io.ReadFull(c.Conn, length[:]); err != nil {
			return 0, err
		}
		frame := append(length[:], make([]byte, binary.BigEndian.Uint32(length[:]))...)
		if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
			return 0, err
		}
		const eventXid = -1
		if c.loss.on.Load() && int32(binary.BigEndian.Uint32(frame[4:])) == eventXid {
			c.loss.lost.Add(1)
			continue
		}
		c.frame = frame
	}
	n := copy(p, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

func TestAChangeWhoseEventIsLostIsDelivered(t *testing.T) {
	onEach(t, testAChangeWhoseEventIsLostIsDelivered)
}

func testAChangeWhoseEventIsLostIsDelivered(t *testing.T, f *fixture) {
	var loss eventLoss
	c := f.connect(zkstream.WithRecheck(time.Second), zkstream.WithDialer(loss.dial))
	f.create("/a", `{"n": 1}`)
	f.create("/a/x", `{"n": 1}`)
	f.create("/b", "")
	f.create("/set", "")
	f.create("/set/x", `{"n": 1}`)
	f.create("/providers", "")

	data, properties, children := c.Data(t.Context(), "/a"), c.Properties(t.Context(), "/b"), c.Children(t.Context(), "/a")
	missing := c.Data(t.Context(), "/missing")
	instances, tree := c.Instances(t.Context(), "/set"), c.Tree(t.Context(), "/a")
	registration, err := c.Register(t.Context(), "/providers", "127.0.0.1:8080", nil)
	if err != nil {
		t.Fatal(err)
	}
	next(t, data)
	next(t, properties.Stream)
	next(t, children)
	next(t, missing)
	next(t, instances)
	next(t, tree)
	settled(t, c)

	loss.on.Store(true)
	f.set("/a", `{"n": 2}`)
	f.set("/a/x", `{"n": 2}`)
	f.set("/b", `{"n": 2}`)
	f.create("/a/y", "")
	f.create("/missing", "here")
	f.set("/set/x", `{"n": 2}`)
	f.create("/set/y", "")
	f.delete(registration.Path())
	if _, err := c.Get(t.Context(), "/"); err != nil { // answered behind all of the events
		t.Fatal(err)
	}
	loss.on.Store(false)
	if lost := loss.lost.Load(); lost < 8 {
		t.Errorf("%d events were lost, want one for each change", lost)
	}

	until(t, data, func(d zkstream.Data) bool { return d.String() == `{"n": 2}` })
	until(t, properties.Stream, func(p zkstream.Properties) bool { return p.String() == `{"n": 2}` })
	until(t, children, func(c zkstream.Children) bool { return c.Len() == 2 })
	until(t, missing, func(d zkstream.Data) bool { return d.String() == "here" })
	until(t, instances, func(i zkstream.Instances) bool {
		x, _ := i.Get("x")
		return i.Len() == 2 && x.String() == `{"n": 2}`
	})
	until(t, tree, func(tree zkstream.Tree) bool {
		x, _ := tree.Get("/a/x")
		return tree.Len() == 3 && x.String() == `{"n": 2}`
	})
	eventually(t, "the registration's node is made again", func() bool {
		return f.owner(registration.Path()) == zkstream.SessionID(c)
	})
	if n := c.Stats().Connects; n != 1 {
		t.Errorf("there were %d connections, want one that never breaks", n)
	}
}

func TestAChangeThatIsHiddenByAPermissionIsDelivered(t *testing.T) {
	onEach(t, testAChangeThatIsHiddenByAPermissionIsDelivered)
}

// A server tells nobody of a change of a node that he may not read at that moment: of one that is closed for a while, and
// of one that is closed from its creation until its permissions are set.
func testAChangeThatIsHiddenByAPermissionIsDelivered(t *testing.T, f *fixture) {
	c := f.connect(zkstream.WithRecheck(time.Second))
	paths := []string{"/closed", "/created"}
	f.create("/closed", "1")
	var data []*zkstream.Stream[zkstream.Data]
	var children []*zkstream.Stream[zkstream.Children]
	var instances []*zkstream.Stream[zkstream.Instances]
	var trees []*zkstream.Stream[zkstream.Tree]
	for i, path := range paths {
		data, children = append(data, c.Data(t.Context(), path)), append(children, c.Children(t.Context(), path))
		instances, trees = append(instances, c.Instances(t.Context(), path)), append(trees, c.Tree(t.Context(), path))
		next(t, data[i])
		next(t, children[i])
		next(t, instances[i])
		next(t, trees[i])
	}
	settled(t, c)

	closed := zk.WorldACL(zk.PermAll &^ zk.PermRead)
	setACL := func(path string, acl []zk.ACL) {
		t.Helper()
		if _, err := f.admin.SetACL(f.root+path, acl, -1); err != nil {
			t.Fatal(err)
		}
	}
	f.Hold() // or a recheck could find a node while it is closed, upon which its streams end
	setACL("/closed", closed)
	f.set("/closed", "2")
	if _, err := f.admin.Create(f.root+"/created", []byte("2"), 0, closed); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f.create(path+"/child", fmt.Sprint("child of ", path))
		setACL(path, zk.WorldACL(zk.PermAll))
	}
	f.Heal()

	for i, path := range paths {
		until(t, data[i], func(d zkstream.Data) bool { return d.String() == "2" })
		until(t, children[i], func(c zkstream.Children) bool { return c.Len() == 1 })
		until(t, instances[i], func(set zkstream.Instances) bool { return set.Len() == 1 })
		until(t, trees[i], func(tree zkstream.Tree) bool {
			top, _ := tree.Get(path)
			child, _ := tree.Get(path + "/child")
			return top.String() == "2" && child.String() == fmt.Sprint("child of ", path)
		})
	}
	if n := c.Stats().Connects; n != 1 {
		t.Errorf("there were %d connections, want one that never breaks", n)
	}
}

// A watch has its turn in time, also if it was read in the midst of a round, and after others.
func TestALostEventIsMadeGoodWithinTheInterval(t *testing.T) {
	for offset := 500 * time.Millisecond; offset < 60*time.Second; offset += 5 * time.Second {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			for i := range 60 {
				path := fmt.Sprintf("/n%d", i)
				plant(t, server, path)
				c.Data(t.Context(), path)
			}
			s := c.Data(t.Context(), "/n7")
			time.Sleep(offset)
			if err := server.Set("/n7", []byte("read")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			closed := zktest.ACL{Perms: zk.PermAll &^ zk.PermRead, Scheme: "world", ID: "anyone"}
			open := zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}
			if err := errors.Join(server.SetACL("/n7", closed), server.Set("/n7", []byte("hidden")), server.SetACL("/n7", open)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for d := range s.All() {
				if d.String() == "hidden" {
					break
				}
			}
			if took := time.Since(began); took > 30*time.Second || took == 0 {
				t.Errorf("%v after the beginning, the change was delivered after %v", offset, took)
			}
		})
	}
}

// A node has two watches, and one turn. If the one that was due first is read just before that turn, the other one must not have to
// wait for the next.
func TestALostEventIsMadeGoodAlthoughTheNodeIsReadForItsChildren(t *testing.T) {
	for offset := 5 * time.Second; offset < 25*time.Second; offset += 5 * time.Second {
		for later := 500 * time.Millisecond; later < 27*time.Second; later += time.Second {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				plant(t, server, "/n")
				time.Sleep(offset)
				c.Children(t.Context(), "/n")
				time.Sleep(3 * time.Second)
				s := c.Data(t.Context(), "/n")
				time.Sleep(time.Second)
				hide(t, server, "/n", "hidden")
				began := time.Now()
				time.AfterFunc(later, func() { server.Create("/n/child", nil) })
				for d := range s.All() {
					if d.String() == "hidden" {
						break
					}
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("the change is delivered after %v; it came after %v, and a child %v later", took, offset+4*time.Second, later)
				}
			})
		}
	}
}

// The recheck that would find a change falls into a time in which the server cannot be reached, or does not answer.
func TestALostEventIsMadeGoodThoughItsRecheckIsLost(t *testing.T) {
	for name, outage := range map[string]func(*zktest.Server, bool){
		"no server":  (*zktest.Server).Partition,
		"no answers": (*zktest.Server).Freeze,
	} {
		for begin := time.Second; begin < 28*time.Second; begin += 3 * time.Second {
			inBubble(t, func(t *testing.T, server *zktest.Server, _ *zkstream.Client) {
				c := dialled(t, server, zkstream.WithSessionTimeout(40*time.Second))
				defer c.Close()
				plant(t, server, "/n")
				s := c.Data(t.Context(), "/n")
				next(t, s)
				hide(t, server, "/n", "hidden")
				c.Get(t.Context(), "/") // so that the connection knows a later zxid, and asks for nothing before it
				time.Sleep(begin)
				outage(server, true)
				time.Sleep(29*time.Second - begin)
				outage(server, false)
				t.Logf("%s from %v on", name, begin)
				until(t, s, func(d zkstream.Data) bool { return d.String() == "hidden" }) // within some seconds
			})
		}
	}
}

// hide changes a node while nobody may read it, so that nobody gets an event.
func hide(t *testing.T, server *zktest.Server, path, content string) {
	t.Helper()
	closed := zktest.ACL{Perms: zk.PermAll &^ zk.PermRead, Scheme: "world", ID: "anyone"}
	open := zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}
	if err := errors.Join(server.SetACL(path, closed), server.Set(path, []byte(content)), server.SetACL(path, open)); err != nil {
		t.Fatal(err)
	}
}

// The server tells who follows a child nothing of its deletion, if he may not read it, but tells who follows the parent.
func TestAChildThatIsMadeAgainIsNotShownAsItWasBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/s", "/s/x")
		data := c.Data(t.Context(), "/s/x")
		next(t, data)
		instances, tree := c.Instances(t.Context(), "/s"), c.Tree(t.Context(), "/s")
		next(t, instances)
		next(t, tree)
		if err := errors.Join(server.SetACL("/s/x", zktest.ACL{Perms: zk.PermDelete, Scheme: "world", ID: "anyone"}), server.Delete("/s/x")); err != nil {
			t.Fatal(err)
		}
		until(t, instances, func(i zkstream.Instances) bool { return i.Len() == 0 })
		until(t, tree, func(tree zkstream.Tree) bool { return tree.Len() == 1 })
		if err := server.Create("/s/x", []byte("new")); err != nil {
			t.Fatal(err)
		}
		if x, ok := next(t, instances).Get("x"); !ok || x.String() != "new" {
			t.Errorf("instances have %q", x)
		}
		if x, ok := next(t, tree).Get("/s/x"); !ok || x.String() != "new" {
			t.Errorf("the tree has %q", x)
		}
		until(t, data, func(d zkstream.Data) bool { return d.String() == "new" })
	})
}
