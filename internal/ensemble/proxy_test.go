package ensemble

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestProxyPassesBothWaysAndCounts(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	text := strings.Repeat("0123456789", 100_000)
	go func() { _, _ = io.WriteString(conn, text) }() // ends with the connection at the latest
	wantText(t, conn, text)
	if in, out := p.Bytes(); in != 1_000_000 || out != 1_000_000 {
		t.Errorf("counted %d and %d bytes", in, out)
	}
	if s.received() != text {
		t.Error("the target got something else")
	}
	if p.Connections() != 1 || p.Accepted() != 1 {
		t.Errorf("%d connections, %d accepted", p.Connections(), p.Accepted())
	}
	other := dial(t, p)
	wantEcho(t, other, "x")
	wantSilence(t, conn) // what is one connection's is not another's
	_ = other.Close()
	waitFor(t, "the end of the second connection", func() bool { return p.Connections() == 1 })
	if p.Accepted() != 2 {
		t.Errorf("%d accepted", p.Accepted())
	}
}

func TestProxyPassesTheEndOfAConnectionOn(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	server := <-s.conns
	_ = server.Close()
	wantClosed(t, conn)

	conn = dial(t, p)
	wantEcho(t, conn, "x")
	send(t, conn, "last words")
	_ = conn.Close()
	wantClosed(t, <-s.conns)
	waitFor(t, "the last words", func() bool { return s.received() == "xxlast words" })
}

func TestProxyToADeadTargetClosesTheConnection(t *testing.T) {
	port, release, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer release() // nobody listens there, and on Linux nobody else can
	p := StartProxy(t, net.JoinHostPort(loopback, strconv.Itoa(port)))
	wantClosed(t, dial(t, p))
	waitFor(t, "its end", func() bool { return p.Connections() == 0 })
}

func TestDropClosesPresentConnectionsOnly(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	p.Drop()
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections after Drop", n)
	}
	wantClosed(t, conn)
	wantClosed(t, <-s.conns)
	wantEcho(t, dial(t, p), "y")
}

func TestCutRefusesUntilHeal(t *testing.T) {
	s, p := start(t)
	conn, addr := dial(t, p), p.Addr()
	wantEcho(t, conn, "x")
	for range 3 {
		p.Cut()
		wantClosed(t, conn)
		wantClosed(t, <-s.conns)
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: %v, want that it is refused", err)
		}
		p.Heal()
		if p.Addr() != addr {
			t.Fatalf("the address is %s, was %s", p.Addr(), addr)
		}
		conn = dial(t, p)
		wantEcho(t, conn, "y")
	}
}

func TestHoldLetsBytesWaitUntilHeal(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	server := <-s.conns

	p.Hold()
	in, out := p.Bytes()
	send(t, conn, "to the server")
	send(t, server, "to the client")
	fresh := dial(t, p)
	send(t, fresh, "new")
	wantSilence(t, conn)
	wantSilence(t, fresh)
	if got := s.received(); got != "x" {
		t.Errorf("the target got %q", got)
	}
	if in2, out2 := p.Bytes(); in2 != in || out2 != out {
		t.Errorf("counted %d and %d bytes more", in2-in, out2-out)
	}

	p.Heal()
	wantText(t, conn, "to the client"+"to the server")
	wantText(t, fresh, "new")
}

func TestHoldKeepsTheEndOfAConnectionBack(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	server := <-s.conns
	p.Hold()
	_ = server.Close()
	wantSilence(t, conn)
	p.Heal()
	wantClosed(t, conn)
}

func TestDropEndsHeldConnections(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	p.Hold()
	send(t, conn, "lost")
	fresh := dial(t, p)
	waitFor(t, "the connection", func() bool { return p.Connections() == 2 })
	p.Drop()
	wantClosed(t, conn)
	wantClosed(t, fresh)
	wantClosed(t, <-s.conns)
	p.Heal()
	wantEcho(t, dial(t, p), "y")
	if got := s.received(); got != "xy" {
		t.Errorf("the target got %q", got)
	}
}

func TestHangSwallowsUntilHealClosesTheConnection(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	server := <-s.conns

	p.Hang()
	in, _ := p.Bytes()
	send(t, conn, "swallowed")
	send(t, server, "lost")
	fresh := dial(t, p)
	send(t, fresh, "swallowed too")
	want := in + int64(len("swallowed")+len("swallowed too"))
	waitFor(t, "the bytes to be swallowed", func() bool { in, _ := p.Bytes(); return in == want })
	wantSilence(t, conn)
	wantSilence(t, fresh)
	_ = server.Close() // a server that hangs does not do that
	wantSilence(t, conn)
	if got := s.received(); got != "x" {
		t.Errorf("the target got %q", got)
	}
	if len(s.conns) != 0 {
		t.Error("the target got a new connection")
	}

	p.Heal()
	wantClosed(t, conn)
	wantClosed(t, fresh)
	wantEcho(t, dial(t, p), "y")
}

func TestClientMayLeaveWhileTheProxyHangs(t *testing.T) {
	_, p := start(t)
	present := dial(t, p)
	wantEcho(t, present, "x")
	p.Hang()
	fresh := dial(t, p)
	waitFor(t, "the connection", func() bool { return p.Connections() == 2 })
	_ = present.Close()
	_ = fresh.Close()
	waitFor(t, "their end", func() bool { return p.Connections() == 0 })
}

func TestHeldConnectionsHangWhenHangFollowsHold(t *testing.T) {
	s, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	p.Hold()
	send(t, conn, "swallowed")
	p.Hang()
	wantSilence(t, conn)
	p.Heal()
	wantClosed(t, conn)
	if got := s.received(); got != "x" {
		t.Errorf("the target got %q", got)
	}
}

func TestAnotherFaultEndsCut(t *testing.T) {
	s, p := start(t)
	p.Cut()
	p.Hold()
	conn := dial(t, p)
	send(t, conn, "x")
	wantSilence(t, conn)
	if len(s.conns) != 0 {
		t.Error("the target got a connection")
	}
	p.Heal()
	wantText(t, conn, "x")
}

func TestCloseHandshakesReadsAndCloses(t *testing.T) {
	s, p := start(t)
	present := dial(t, p)
	wantEcho(t, present, "x")
	<-s.conns

	p.CloseHandshakes(true)
	for range 3 {
		conn := dial(t, p)
		wantSilence(t, conn) // it waits for the first bytes
		send(t, conn, "connect request")
		wantClosed(t, conn)
	}
	if in, _ := p.Bytes(); in != int64(len("x")+3*len("connect request")) {
		t.Errorf("counted %d bytes", in)
	}
	wantEcho(t, present, "y")
	if len(s.conns) != 0 {
		t.Error("the target got a connection")
	}
	p.CloseHandshakes(false)
	wantEcho(t, dial(t, p), "z")

	p.CloseHandshakes(true)
	p.Heal()
	wantEcho(t, dial(t, p), "z")
}

func TestDelayAddsLatencyWithoutLimitingThroughput(t *testing.T) {
	_, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	const d = 100 * time.Millisecond
	p.Delay(d)
	begin := time.Now()
	wantEcho(t, conn, "y")
	if took := time.Since(begin); took < 2*d {
		t.Errorf("a round trip took %v, want %v at least", took, 2*d)
	}
	// Many requests are under way at once: one after the other they would take
	// 40 seconds.
	const n = 200
	begin = time.Now()
	for range n {
		send(t, conn, "z")
		time.Sleep(100 * time.Microsecond) // so that they are not one piece
	}
	wantText(t, conn, strings.Repeat("z", n))
	if took := time.Since(begin); took > n*2*d/4 {
		t.Errorf("%d round trips at once took %v", n, took)
	}
	p.Delay(0)
	wantEcho(t, conn, "w")
	p.Delay(time.Hour)
	send(t, conn, "never") // Close does not wait for it
}

func TestCloseEndsEverything(t *testing.T) {
	for name, fault := range map[string]func(*Proxy){
		"no fault":        func(*Proxy) {},
		"Cut":             (*Proxy).Cut,
		"Hold":            (*Proxy).Hold,
		"Hang":            (*Proxy).Hang,
		"CloseHandshakes": func(p *Proxy) { p.CloseHandshakes(true) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startTarget(t)
			p, err := NewProxy(s.addr())
			if err != nil {
				t.Fatal(err)
			}
			conn := dial(t, p)
			wantEcho(t, conn, "x")
			fault(p)
			fresh, err := net.Dial("tcp", p.Addr())
			if err == nil {
				defer fresh.Close()
				waitFor(t, "the connection", func() bool { return p.Accepted() == 2 })
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
			if fresh != nil {
				wantClosed(t, fresh)
			}
			if p.Connections() != 0 {
				t.Errorf("%d connections after Close", p.Connections())
			}
			if _, err := net.Dial("tcp", p.Addr()); err == nil {
				t.Error("a closed proxy accepts")
			}
			p.Heal() // does not open it again
			if _, err := net.Dial("tcp", p.Addr()); err == nil {
				t.Error("a closed proxy accepts after Heal")
			}
			if err := p.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

func TestFaultsMayChangeConcurrently(t *testing.T) {
	_, p := start(t)
	var wg sync.WaitGroup
	// All end by themselves; Wait below waits for them.
	for _, fault := range []func(*Proxy){
		(*Proxy).Cut, (*Proxy).Hold, (*Proxy).Hang, (*Proxy).Drop, (*Proxy).Heal,
		func(p *Proxy) { p.CloseHandshakes(p.Connections()%2 == 0) },
		func(p *Proxy) { p.Delay(time.Duration(p.Accepted()%3) * time.Millisecond) },
	} {
		wg.Go(func() {
			for range 100 {
				fault(p)
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 50 {
				conn, err := net.Dial("tcp", p.Addr())
				if err != nil {
					continue // cut
				}
				_ = conn.SetDeadline(time.Now().Add(time.Millisecond))
				_, _ = io.WriteString(conn, "x")
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	p.Drop()
	p.Heal()
	wantEcho(t, dial(t, p), "y")
}

func TestSessionSurvivesAProxyThatDropsIt(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	p := StartProxy(t, s.Addr())
	conn := client(t, p.Addr())
	create(t, conn, "/a", "1")
	id := conn.SessionID()
	p.Drop()
	waitFor(t, "the new connection", func() bool { return p.Accepted() == 2 && conn.State() == zk.StateHasSession })
	if conn.SessionID() != id {
		t.Errorf("session %#x, was %#x", conn.SessionID(), id)
	}
	wantData(t, conn, "/a", "1")
}

func TestThrottleLimitsBytesASecond(t *testing.T) {
	_, p := start(t)
	conn := dial(t, p)
	wantEcho(t, conn, "x")
	p.Throttle(1 << 20)
	text := strings.Repeat("0123456789abcdef", 16<<10) // a quarter of it
	begin := time.Now()
	go func() { _, _ = io.WriteString(conn, text) }() // ends with the connection at the latest
	wantText(t, conn, text)
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("a quarter of a second's bytes came in %v", took)
	}
	p.Throttle(1 << 10) // it would take four minutes
	p.Throttle(0)
	go func() { _, _ = io.WriteString(conn, text) }() // as above
	wantText(t, conn, text)
}

func TestAnsweredIsTheTimeOfTheLastBytes(t *testing.T) {
	_, p := start(t)
	conn := dial(t, p)
	if at := p.Answered(); !at.IsZero() {
		t.Errorf("answered at %v, and nobody has asked", at)
	}
	begin := time.Now()
	wantEcho(t, conn, "x")
	waitFor(t, "the time of the answer", func() bool { return !p.Answered().Before(begin) })
	p.Hold()
	held := time.Now()
	send(t, conn, "y")
	wantSilence(t, conn)
	if at := p.Answered(); at.After(held) {
		t.Errorf("answered at %v, and it is held since %v", at, held)
	}
}
