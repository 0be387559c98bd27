package zktest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// stage is an ensemble of three servers, real or not, on which a scene is played. The scene writes down what its
// clients see; both stages have to give the same lines. Servers are named by what they were when the scene began.
type stage struct {
	t     *testing.T
	names map[string]int // "leader", "a", "b": the server's index
	dial  func(server int) (net.Conn, error)
	lag   func(server int, on bool) // it falls behind, but stays in contact
	cut   func(server int, on bool) // it has no contact with its leader, and neither side has noticed
	stop  func(server int, on bool)
	word  func(server int, word string) string
	lines []string
}

const (
	stageTick      = 200 * time.Millisecond
	stageSyncLimit = 50 // ticks: longer than a scene takes
	stageLag       = 3 * time.Second
	stageTimeout   = 20 * time.Second // of sessions that are not to expire
)

func (s *stage) log(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// client connects to a server, with another's session unless that is nil.
func (s *stage) client(name string, timeout time.Duration, old *rawClient) (*rawClient, []byte, error) {
	s.t.Helper()
	nc, err := s.dial(s.names[name])
	if err != nil {
		return nil, nil, err
	}
	s.t.Cleanup(func() { nc.Close() })
	c := &rawClient{nc: nc}
	if old != nil {
		c.session, c.password, c.lastZxid, c.xid, c.readOnly = old.session, old.password, old.lastZxid, old.xid, old.readOnly
	}
	reply, err := c.handshake(timeout, false)
	return c, reply, err
}

func (s *stage) must(name string, timeout time.Duration) *rawClient {
	s.t.Helper()
	c, _, err := s.client(name, timeout, nil)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return c
}

// ask sends a request and writes down all that comes up to its answer. It gives the answer's zxid.
func (s *stage) ask(c *rawClient, r request) (zxid int64) {
	s.t.Helper()
	frames, err := c.call(r.op, r.body())
	line := fmt.Sprintf("%v:", r)
	for _, frame := range frames {
		d := &decoder{buf: frame}
		xid := d.int32()
		zxid = d.int64()
		code := Code(d.int32())
		switch {
		case xid == -1:
			typ := d.int32()
			d.int32()
			path, _ := d.string()
			line += fmt.Sprintf(" event %d %s,", typ, path)
		case r.op == OpGetData && code == 0:
			line += fmt.Sprintf(" %q", d.bytes())
		default:
			line += fmt.Sprintf(" code %d, %d bytes", code, len(d.buf))
		}
	}
	switch {
	case timedOut(err):
		line += " timed out"
	case err != nil:
		line += " closed"
	}
	s.log("%s", line)
	return zxid
}

// end writes down what answers come until the connection ends, and whether it does. Events may or may not: the
// real servers do not wait until they are written.
func (s *stage) end(c *rawClient) {
	for {
		frame, err := c.readFrame()
		if err != nil {
			s.log("end, timed out: %v", timedOut(err))
			return
		}
		d := &decoder{buf: frame}
		if xid := d.int32(); xid != -1 {
			s.log("before the end: xid %d, %d bytes", xid, len(frame))
		}
	}
}

// until waits until a condition holds, which it does after a few seconds at most.
func (s *stage) until(what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *stage) mode(name string) string {
	for line := range strings.Lines(s.word(s.names[name], "srvr")) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

// realStage starts ZooKeeper servers.
func realStage(t *testing.T, config map[string]string, java ...string) *stage {
	all := map[string]string{"syncLimit": fmt.Sprint(stageSyncLimit), "extendedTypesEnabled": "false"}
	for key, value := range config {
		all[key] = value
	}
	e := ensemble.Start(t, 3, ensemble.Options{
		TickTime: stageTick, MaxSessionTimeout: stageTimeout, PeerLinks: true, Config: all, Java: java,
	})
	servers := e.Servers()
	links := func(i int, f func(*ensemble.Proxy)) {
		for _, p := range e.PeerLinks(servers[i]) {
			f(p)
		}
	}
	s := &stage{
		t:    t,
		dial: func(i int) (net.Conn, error) { return net.Dial("tcp", servers[i].Addr()) },
		lag: func(i int, on bool) {
			delay := time.Duration(0)
			if on {
				delay = stageLag / 2 // there and back
			}
			links(i, func(p *ensemble.Proxy) { p.Delay(delay) })
		},
		cut: func(i int, on bool) {
			if on {
				links(i, (*ensemble.Proxy).Hold)
			} else {
				links(i, (*ensemble.Proxy).Heal)
			}
		},
		stop: func(i int, on bool) {
			act := servers[i].StartProcess
			if on {
				act = servers[i].Kill
			}
			if err := act(); err != nil {
				t.Fatal(err)
			}
		},
		word: func(i int, word string) string {
			text, _ := servers[i].FourLetter(context.Background(), word)
			return text
		},
	}
	leader, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.cast(slices.Index(servers, leader))
	return s
}

// ownStage makes servers of this package, in a bubble.
func ownStage(t *testing.T, opts ...Option) *stage {
	e := StartEnsemble(t, 3, append(opts, WithTickTime(stageTick), WithSessionTimeouts(0, stageTimeout), WithSyncLimit(stageSyncLimit))...)
	servers := e.Members()
	s := &stage{
		t:    t,
		dial: func(i int) (net.Conn, error) { return servers[i].Dial(t.Context(), "tcp", "") },
		lag: func(i int, on bool) {
			if on {
				servers[i].Lag(stageLag)
			} else {
				servers[i].Lag(0)
			}
		},
		cut:  func(i int, on bool) { servers[i].Isolate(on) },
		stop: func(i int, on bool) { servers[i].Stop(on) },
		word: func(i int, w string) string {
			nc, err := servers[i].Dial(t.Context(), "tcp", "")
			if err != nil {
				return ""
			}
			text, _ := word(nc, w)
			return text
		},
	}
	s.cast(slices.Index(servers, e.Leader()))
	return s
}

func (s *stage) cast(leader int) {
	s.names = map[string]int{"leader": leader, "a": (leader + 1) % 3, "b": (leader + 2) % 3}
}

// play compares a scene on both stages.
func play(t *testing.T, real *stage, scene func(*stage), opts ...Option) {
	t.Helper()
	real.lines = nil
	scene(real)
	var own []string
	synctest.Test(t, func(t *testing.T) {
		s := ownStage(t, opts...)
		scene(s)
		own = s.lines
	})
	if !slices.Equal(real.lines, own) {
		t.Errorf("the real servers:\n  %s\nzktest:\n  %s", strings.Join(real.lines, "\n  "), strings.Join(own, "\n  "))
	}
	if testing.Verbose() {
		t.Logf("both:\n  %s", strings.Join(own, "\n  "))
	}
}
