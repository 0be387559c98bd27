package main

import (
	"bufio"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

func TestNoServerIsReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := newShell(t, listener.Addr().String()+",127.0.0.1:1")
	for _, args := range []string{"get /a", "watch /a", "register /a b:1", "rm -r /a", "tree", "export"} {
		began := time.Now()
		s.fails(statusError, "no server within 200ms", append(strings.Fields(args), "--timeout", "200ms")...)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: %v", args, took)
		}
	}
	s.fails(statusError, `bad port "x"`, "get", "/a", "-s", "host:x")
	s.fails(statusError, "comma", "get", "/a", "-s", "host/a,host/b")
}

func TestAServerThatIsLostMeanwhile(t *testing.T) {
	s, server := start(t, search)
	server.Intercept(func(r zktest.Request) zktest.Fault {
		if r.Op == zktest.OpGetData {
			server.Partition(true)
		}
		return zktest.Fault{}
	})
	s.fails(statusError, "no server within 300ms", "get", "/search", "--timeout", "300ms")
	server.Intercept(nil)
	server.Partition(false)
	s.ok("get", "/search", "--timeout", "0")
}

func TestALostConnectionIsNoErrorUnlessAWriteMayHaveBeenLost(t *testing.T) {
	s, server := start(t, search)
	drop := map[zktest.Op]int{zktest.OpGetData: 3, zktest.OpSetData: 1}
	server.Intercept(func(r zktest.Request) (f zktest.Fault) {
		if drop[r.Op] > 0 {
			drop[r.Op]--
			f.Drop = true
		}
		return f
	})
	equal(t, s.ok("get", "/search/providers"), "{}")
	if drop[zktest.OpGetData] != 0 {
		t.Error("no request was lost")
	}
	s.fails(statusError, "nobody can know whether it was carried out", "set", "/search", "x")
}

func TestInterrupted(t *testing.T) {
	s, server := start(t, search)
	for signal, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		asked := make(chan struct{}, 10)
		server.Intercept(func(r zktest.Request) (f zktest.Fault) {
			if r.Op == zktest.OpGetData {
				asked <- struct{}{}
				f.Delay = time.Minute
			}
			return f
		})
		cmd := s.command("get", "/search")
		var stdout, stderr buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-asked
		cmd.Process.Signal(signal)
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want || stdout.String() != "" || stderr.String() != "" {
			t.Errorf("%v: status %d, %q, %q", signal, got, &stdout, &stderr)
		}
		server.Intercept(nil)
		server.Disconnect()
	}
}

func TestCommandsThatGoOnEndWellWithASignal(t *testing.T) {
	s, server := start(t, search)
	for _, args := range []string{"watch /search", "register /search/providers h:1", "serve -l 127.0.0.1:0"} {
		cmd := s.command(strings.Fields(args)...)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Errorf("%s: %q, %v", args, line, err)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	if n := len(server.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestAClosedPipe(t *testing.T) {
	s, server := start(t, search)
	cmd := s.command("watch", "/search")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	server.Set("/search", []byte("x"))
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGPIPE) {
		t.Errorf("status %d", got)
	}
	if n := len(server.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestWait(t *testing.T) {
	s, server := start(t, search)
	equal(t, s.ok("wait", "/search"), "")
	equal(t, s.ok("wait", "/search", "--exists"), "")
	equal(t, s.ok("wait", "/none", "--gone"), "")
	equal(t, s.ok("wait", "/search", "--children", "1"), "")
	for _, args := range []string{"/none", "/search --gone", "/search --children 2", "/none --children 1"} {
		s.fails(statusError, "not within 100ms", append(strings.Fields("wait --timeout 100ms"), strings.Fields(args)...)...)
	}
	j := s.background("wait", "/search", "--children", "3")
	server.Create("/search/a", nil)
	server.ExpireAll()
	server.Create("/search/b", nil)
	if status := <-j.status; status != 0 {
		t.Errorf("status %d, %s", status, j.stderr)
	}
	j.status <- 0
	down := newShell(t, "127.0.0.1:1")
	down.fails(statusError, "not within 100ms", "wait", "/a", "--timeout", "100ms")
}

func TestVerbose(t *testing.T) {
	s, _ := start(t, search)
	stdout, stderr, status := s.run("get", "/search", "-v")
	if stdout != `{"threads":8,"type":"service"}` || status != 0 || !strings.Contains(stderr, "level=") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}
