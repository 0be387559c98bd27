package zkstream_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

func TestParseServers(t *testing.T) {
	for s, want := range map[string]struct {
		hosts  []string
		chroot string
	}{
		"":                      {[]string{"127.0.0.1:2181"}, ""},
		"/":                     {[]string{"127.0.0.1:2181"}, ""},
		"/a/b":                  {[]string{"127.0.0.1:2181"}, "/a/b"},
		"zk1":                   {[]string{"zk1:2181"}, ""},
		"zk1:1, zk2:2 ,zk3/app": {[]string{"zk1:1", "zk2:2", "zk3:2181"}, "/app"},
		"[::1]":                 {[]string{"[::1]:2181"}, ""},
		"[::1]:80,10.0.0.1/x":   {[]string{"[::1]:80", "10.0.0.1:2181"}, "/x"},
		"zk1:1,":                {[]string{"zk1:1"}, ""},
		",zk1:1,, zk2:2 ,/app":  {[]string{"zk1:1", "zk2:2"}, "/app"},
		" zk1:1\n":              {[]string{"zk1:1"}, ""},
	} {
		hosts, chroot, err := address.ParseServers(s)
		if err != nil || !slices.Equal(hosts, want.hosts) || chroot != want.chroot {
			t.Errorf("%q: %q, %q, %v", s, hosts, chroot, err)
		}
	}
	for s, part := range map[string]string{
		",": "no server", " , /app": "no server", "a:b:c": "a:b:c", "a:": `"a:"`, "a:0": `"a:0"`, "a:99999": "99999", ":80": ":80", "a/b/": "/b/", "a//b": "//b", "::1": "::1",
		"a:1/app,b:2/app": `chroot "/app,b:2/app" has a comma`, "a:1/app,b:2": "has a comma", "a/app ": `chroot "/app " ends in a blank`,
		"a/app\n": "ends in a blank", "a/\t": "ends in a blank", "zk://h:1/app": "a scheme: want host:port,host:port/chroot",
		"https://h": "a scheme",
	} {
		if _, err := zkstream.Connect(t.Context(), s); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want an error with %s", s, err, part)
		}
	}
}

func TestConnectRefusesBadOptions(t *testing.T) {
	for name, opt := range map[string]zkstream.Option{
		"timeout": zkstream.WithSessionTimeout(0), "in flight": zkstream.WithMaxInFlight(0), "logger": zkstream.WithLogger(nil), "option is nil": nil,
		"WithTLS: the configuration is nil": zkstream.WithTLS(nil),
	} {
		if _, err := zkstream.Connect(t.Context(), "", dialsNothing(t), opt); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none context.Context
	if _, err := zkstream.Connect(none, "", dialsNothing(t)); err == nil || !strings.Contains(err.Error(), "context is nil") {
		t.Errorf("without a context: %v", err)
	}
}

// dialsNothing fails the test when a server is dialled.
func dialsNothing(t *testing.T) zkstream.Option {
	return zkstream.WithDialer(func(_ context.Context, _, addr string) (net.Conn, error) {
		t.Errorf("%s is dialled", addr)
		return nil, errors.ErrUnsupported
	})
}

// silent is a server that accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				io.Copy(io.Discard, conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// refusing is an address that nobody listens on, nor can while the test runs.
func refusing(t *testing.T) string {
	t.Helper()
	p := ensemble.StartProxy(t, "127.0.0.1:1")
	p.Cut()
	return p.Addr()
}

func TestConnectSaysWhyNoServerCouldBeReached(t *testing.T) {
	t.Parallel()
	mute, refused := silent(t), refusing(t)
	servers := mute + "," + refused + ",no-such-host.invalid:2181"
	ctx, cancel := context.WithTimeoutCause(t.Context(), 6*time.Second, errors.New("cause"))
	defer cancel()
	start := time.Now()
	_, err := zkstream.Connect(ctx, servers, zkstream.WithSessionTimeout(2*time.Second))
	if err == nil {
		t.Fatal("connected")
	}
	for _, want := range []string{servers, "cause", mute + ": no answer to the handshake", refused + ": ", "connection refused", "no-such-host.invalid:2181: ", "lookup"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if took := time.Since(start); took > patience {
		t.Errorf("took %v", took)
	}
}

func TestABadNameAndADeadServerDoNoHarm(t *testing.T) { onEach(t, testABadNameAndADeadServerDoNoHarm) }

func testABadNameAndADeadServerDoNoHarm(t *testing.T, f *fixture) {
	c := connect(t, "no-such-host.invalid,"+refusing(t)+","+f.Addr()+f.root)
	next(t, c.Data(t.Context(), "/a"))
}

func TestConnectContextBoundsOnlyTheWait(t *testing.T) {
	onEach(t, testConnectContextBoundsOnlyTheWait)
}

func testConnectContextBoundsOnlyTheWait(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := zkstream.Connect(ctx, f.Addr()+f.root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if err := c.Create(t.Context(), "/a", nil); err != nil {
		t.Error(err)
	}
}

func TestAMissingChrootIsAMissingNode(t *testing.T) { onEach(t, testAMissingChrootIsAMissingNode) }

func testAMissingChrootIsAMissingNode(t *testing.T, f *fixture) {
	c := connect(t, f.Addr()+f.root+"/deep/root")
	s := c.Children(t.Context(), "/")
	if got := next(t, s); got.Exists() || got.Path() != "/" {
		t.Errorf("%v", got)
	}
	if err := c.Create(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	if got := until(t, s, func(c zkstream.Children) bool { return c.Len() > 0 }); names(got) != "a" {
		t.Errorf("%v", got)
	}
	f.get("/deep/root/a")
}

// anyCall makes one of the calls that wait for a server; each i means one of them.
func anyCall(ctx context.Context, c *zkstream.Client, i int) error {
	calls := []func() error{
		func() error { return c.Create(ctx, "/q", nil) },
		func() error { return c.SetProperties(ctx, "/p", nil) },
		func() error { return c.UpdateProperties(ctx, "/p", nil) },
		func() error { return c.Delete(ctx, "/p") },
		func() error { _, err := c.Register(ctx, "/svc", addr, nil); return err },
	}
	return calls[i%len(calls)]()
}

func TestCallsKeepTheirDeadlineWhileCutOff(t *testing.T) {
	onEach(t, testCallsKeepTheirDeadlineWhileCutOff)
}

func testCallsKeepTheirDeadlineWhileCutOff(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/p", "{}")
	for name, breakIt := range map[string]func(){"refused": f.Cut, "hung": f.Hang} {
		breakIt()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				start := time.Now()
				err := anyCall(ctx, c, i)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took > patience/2 { // TestAFrozenServer is exact, in virtual time
					t.Errorf("%s: a call with a deadline of 300ms took %v", name, took)
				}
			})
		}
		wg.Wait()
		f.Heal()
		settled(t, c)
	}
}

func TestCloseInEveryState(t *testing.T) { onEachAlone(t, testCloseInEveryState) }

func testCloseInEveryState(t *testing.T, f *fixture) {
	states := map[string]func(c *zkstream.Client, f *fixture){
		"connected": func(*zkstream.Client, *fixture) {},
		"refused":   func(c *zkstream.Client, f *fixture) { f.Cut(); down(f.t, c) },
		"hung": func(c *zkstream.Client, f *fixture) {
			f.Hang()
			large := map[string]any{"a": strings.Repeat("x", 500_000)}
			for range 24 { // more than go-zookeeper's queue holds, and more than the socket does
				go c.SetProperties(context.Background(), "/p", large)
				go c.UpdateProperties(context.Background(), "/p", map[string]any{"a": 1})
			}
			time.Sleep(50 * time.Millisecond)
		},
		"hung handshake": func(c *zkstream.Client, f *fixture) {
			f.Hang()
			f.Drop()
			down(f.t, c)
			eventually(f.t, "a handshake hangs", func() bool { return f.Connections() > 0 })
		},
		"expired":      func(c *zkstream.Client, f *fixture) { expire(f.t, c); f.Cut() },
		"just dropped": func(_ *zkstream.Client, f *fixture) { f.Drop() },
	}
	// Each has a place and a proxy of its own. They are closed side by side, and nothing else runs.
	places := map[string]*fixture{}
	for name := range states {
		places[name] = newFixture(t, f.direct)
	}
	before := runtime.NumGoroutine()
	clients, sessions := map[string]*zkstream.Client{}, map[string]int64{}
	for name, state := range states {
		c := places[name].connect(zkstream.WithSessionTimeout(2 * time.Second))
		c.Data(t.Context(), "/a")
		if r, err := c.Register(t.Context(), "/svc", addr, nil); err != nil || r == nil {
			t.Fatal(err)
		}
		state(c, places[name])
		clients[name], sessions[name] = c, zkstream.SessionID(c)
	}
	var wg sync.WaitGroup
	for name, c := range clients {
		for range 3 {
			wg.Go(func() {
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took > zkstream.CloseLimit+time.Second {
					t.Errorf("%s: took %v", name, took)
				}
			})
		}
	}
	wg.Wait()
	// What the clients had is gone when Close returns. The proxies and the server need a moment for theirs.
	for name, p := range places {
		if (name == "connected" || name == "just dropped") && p.sessionLives(sessions[name]) {
			t.Errorf("%s: the session lives on", name) // as that of the others does, until it expires: no server could be told
		}
	}
	for name, p := range places {
		p.Heal()
		eventually(t, name+": no connection is left", func() bool { return p.Connections() == 0 })
		eventually(t, name+": the session is gone", func() bool { return !p.sessionLives(sessions[name]) })
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestCloseFromEverywhere(t *testing.T) { onEach(t, testCloseFromEverywhere) }

func testCloseFromEverywhere(t *testing.T, f *fixture) {
	c := f.connect()
	if err := c.Data(t.Context(), "/a").ForEach(func(zkstream.Data) error { return c.Close() }); err != zkstream.ErrClosed {
		t.Errorf("from ForEach: %v", err)
	}
	c = f.connect()
	m := zkstream.Map(c.Data(t.Context(), "/a"), func(zkstream.Data) error { return c.Close() })
	if err := ended(t, m); err != zkstream.ErrClosed { // Close cannot wait for its own caller, and says so
		t.Errorf("from Map: %v", err)
	}
	c = f.connect()
	c.Conn().Close()
	if err := ended(t, c.Data(t.Context(), "/a")); err != zkstream.ErrClosed {
		t.Errorf("through the low-level handle: %v", err)
	}
	if err := c.Create(t.Context(), "/a", nil); !errors.Is(err, zkstream.ErrClosed) {
		t.Errorf("a call on a closed client: %v", err)
	}
}

// With a second server at hand, a session ends at Close although its own server hangs.
func TestCloseEndsTheSessionThroughAnotherServer(t *testing.T) {
	onEachAlone(t, testCloseEndsTheSessionThroughAnotherServer)
}

func testCloseEndsTheSessionThroughAnotherServer(t *testing.T, f *fixture) {
	c := connect(t, f.Addr()+f.root, zkstream.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if f.Connections() > 0 { // all but the first go straight to the server
			addr = f.direct
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}))
	if _, err := c.Register(t.Context(), "/svc", "h:1", nil); err != nil {
		t.Fatal(err)
	}
	f.Hold()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if f.owner("/svc/h:1") != 0 {
		t.Error("the node is there after Close")
	}
}

// Every method of a Client that Connect has not made returns an error, or a stream that has ended with one.
func TestTheZeroClientSaysThatItIsNone(t *testing.T) {
	var c zkstream.Client
	v := reflect.ValueOf(&c)
	for i := range v.NumMethod() {
		name := v.Type().Method(i).Name
		if slices.Contains([]string{"Connection", "SessionID", "Supervisor"}, name) { // of export_test.go
			continue
		}
		method := v.Method(i)
		args := []reflect.Value{}
		for j := range method.Type().NumIn() {
			switch in := method.Type().In(j); {
			case in == reflect.TypeFor[[]any](): // of Multi
				args = append(args, reflect.ValueOf(&zk.CheckVersionRequest{Path: "/a"}))
			case method.Type().IsVariadic() && j == method.Type().NumIn()-1:
			case in == reflect.TypeFor[context.Context]():
				args = append(args, reflect.ValueOf(t.Context()))
			case in.Kind() == reflect.String && j == 1:
				args = append(args, reflect.ValueOf("/a"))
			case in.Kind() == reflect.String:
				args = append(args, reflect.ValueOf("10.0.0.1:80"))
			default:
				args = append(args, reflect.Zero(in))
			}
		}
		var err error
		for _, out := range method.Call(args) {
			switch {
			case out.Type() == reflect.TypeFor[error]():
				err, _ = out.Interface().(error)
			case out.Kind() == reflect.Pointer && !out.IsNil() && out.MethodByName("Err").IsValid():
				err, _ = out.MethodByName("Err").Call(nil)[0].Interface().(error)
			}
		}
		if describe := []string{"Conn", "Registrations", "Stats", "Watches"}; !errors.Is(err, zkconn.ErrNoConn) && !slices.Contains(describe, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Conn() != nil {
		t.Error("there is a handle")
	}
}

// A function of Map that closes its client waits for itself. The session has ended by then.
func TestCloseFromAFunctionOfMapEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		c := dialled(t, server)
		if _, err := c.Register(t.Context(), "/svc", "10.0.0.1:80", nil); err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		mapped := zkstream.Map(c.Children(t.Context(), "/svc"), func(zkstream.Children) int {
			result <- c.Close()
			return 0
		})
		synctest.Wait()
		if nodes, err := server.Children("/svc"); err != nil || len(nodes) > 0 {
			t.Errorf("the session's nodes: %v, %v", nodes, err)
		}
		start := time.Now()
		if err := <-result; err == nil || !strings.Contains(err.Error(), "passed to Map") || time.Since(start) > 3*time.Second {
			t.Errorf("Close in the function: %v after %v", err, time.Since(start))
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close after it: %v", err)
		}
		for range mapped.C() {
		}
		if err := mapped.Err(); err != zkstream.ErrClosed {
			t.Errorf("the stream has ended with %v", err)
		}
	})
}

func TestAuthIsReplayed(t *testing.T) { onEach(t, testAuthIsReplayed) }

func testAuthIsReplayed(t *testing.T, f *fixture) {
	acl := zk.DigestACL(zk.PermAll, "user", "secret")
	var log lockedBuffer
	c := f.connect(zkstream.WithAuth("digest", []byte("user:secret")), zkstream.WithDefaultACL(acl),
		zkstream.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err := c.Create(t.Context(), "/p/q", map[string]any{"password": "hidden"}); err != nil {
		t.Fatal(err)
	}
	if err := f.admin.AddAuth("digest", []byte("user:secret")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/p", "/p/q"} {
		if got, _, err := f.admin.GetACL(f.root + path); err != nil || !slices.Equal(got, acl) {
			t.Errorf("ACL of %s: %v, %v", path, got, err)
		}
	}
	s := c.Properties(t.Context(), "/p/q")
	next(t, s.Stream)
	for i, breakIt := range []func(){f.Drop, func() { expire(t, c) }, f.Drop} {
		breakIt()
		if err := s.Update(t.Context(), map[string]any{"i": i}); err != nil {
			t.Fatal(err)
		}
		until(t, s.Stream, func(p zkstream.Properties) bool { v, _ := p.Get("i"); return v == int64(i) })
	}
	if err := ended(t, f.connect().Data(t.Context(), "/p")); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("without the credential: %v", err)
	}
	for _, secret := range []string{"secret", "hidden"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, log.String())
		}
	}
}

func TestARefusedCredentialFailsConnect(t *testing.T) { onEach(t, testARefusedCredentialFailsConnect) }

func testARefusedCredentialFailsConnect(t *testing.T, f *fixture) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := zkstream.Connect(ctx, f.Addr(), zkstream.WithAuth("no-such-scheme", []byte("secret")))
	if !errors.Is(err, zk.ErrAuthFailed) || !strings.Contains(err.Error(), "no-such-scheme") || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
}

// A server may enforce authentication by a scheme. It takes the connection, and refuses each request.
func TestAServerThatRequiresACredentialFailsConnectWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t, zktest.WithRequiredAuth("digest"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := zkstream.Connect(ctx, "zktest", zkstream.WithDialer(server.Dial))
		if !errors.Is(err, zk.ErrAuthFailed) || !strings.Contains(err.Error(), "requires authentication") || ctx.Err() != nil {
			t.Errorf("without a credential: %v", err)
		}
		c := dialled(t, server, zkstream.WithAuth("digest", []byte("user:password")))
		if _, err := c.Register(t.Context(), "/svc", "10.0.0.1:80", nil); err != nil {
			t.Fatal(err)
		}
		server.Freeze(true) // so that it is the farewell that ends the session
		time.AfterFunc(1500*time.Millisecond, func() { server.Freeze(false) })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if nodes, err := server.Children("/svc"); err != nil || len(nodes) > 0 {
			t.Errorf("after Close: %v, %v", nodes, err)
		}
	})
}

// A client that has been connected goes on when its credential is refused, and says why calls fail.
func TestACredentialThatIsRefusedLaterEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var refuse atomic.Bool
		c := dialled(t, server, zkstream.WithAuth("digest", []byte("user:password")))
		defer c.Close()
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if refuse.Load() && r.Op == zktest.OpAuth {
				return zktest.Fault{Code: zktest.ErrAuthFailed}
			}
			return zktest.Fault{}
		})
		s := c.Data(t.Context(), "/a")
		next(t, s)
		time.Sleep(2 * time.Second)
		refuse.Store(true)
		server.Disconnect()
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Create(ctx, "/b", nil); !errors.Is(err, zk.ErrAuthFailed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call: %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("the stream has ended: %v", err)
		}
		refuse.Store(false)
		if err := c.Create(t.Context(), "/a", nil); err != nil {
			t.Error(err)
		}
		if got := next(t, s); !got.Exists() {
			t.Errorf("%v", got)
		}
	})
}

func TestLinesArriveInTheLogWithALevel(t *testing.T) { onEach(t, testLinesArriveInTheLogWithALevel) }

func testLinesArriveInTheLogWithALevel(t *testing.T, f *fixture) {
	var log lockedBuffer
	c := f.connect(zkstream.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	has := func(want string) {
		t.Helper()
		eventually(t, "the log has "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	f.outage(c, func() { has(`level=WARN msg="zkstream: no session" server=` + f.Addr()) })
	has(`level=INFO msg="zkstream: connected"`)
	has(`level=INFO msg="zkstream: disconnected"`)
	has(`level=INFO msg="zkstream: there is a session again"`)
	eventually(t, "the log has a line of go-zookeeper's", func() bool {
		return strings.Contains(log.String(), `level=INFO msg="connection ended: `) && strings.Contains(log.String(), "source=go-zookeeper")
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestSessionTellsSuspendedAndExpiredInTime(t *testing.T) {
	onEach(t, testSessionTellsSuspendedAndExpiredInTime)
}

func testSessionTellsSuspendedAndExpiredInTime(t *testing.T, f *fixture) {
	c := f.connect(zkstream.WithSessionTimeout(3 * time.Second))
	s := c.Session(t.Context())
	first := next(t, s)
	if first.State != zkstream.Connected || first.Timeout != 3*time.Second {
		t.Fatalf("%+v", first)
	}
	f.Cut()
	if got := next(t, s); got.State != zkstream.Suspended || got.ID != first.ID {
		t.Errorf("%+v", got)
	}
	start := time.Now()
	if got := next(t, s); got.State != zkstream.Expired || got.ID != first.ID { // with no server to say so
		t.Errorf("%+v", got)
	}
	if took := time.Since(start); took < 500*time.Millisecond || took > 9*time.Second {
		t.Errorf("told after %v, want two to three seconds", took)
	}
	id := first.ID
	eventually(t, "the server has expired the session", func() bool { return !f.sessionLives(id) })
	f.Heal()
	if got := until(t, s, func(s zkstream.Session) bool { return s.State == zkstream.Connected }); got.ID == first.ID || got.ID == 0 {
		t.Errorf("%+v", got)
	}
}

func TestTLS(t *testing.T) { onEach(t, testTLS) }

func testTLS(t *testing.T, f *fixture) {
	cert, pool := selfSigned(t, "localhost")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // a TLS end before the plain server
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", f.Addr())
			if err != nil {
				in.Close()
				continue
			}
			wg.Go(func() { io.Copy(out, in); out.Close(); in.Close() })
			wg.Go(func() { io.Copy(in, out); out.Close(); in.Close() })
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { l.Close(); f.Drop() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	servers := "localhost:" + port + f.root
	c := connect(t, servers, zkstream.WithTLS(&tls.Config{RootCAs: pool}))
	s := c.Data(t.Context(), "/a")
	next(t, s)
	f.Drop()
	f.create("/a", "x")
	next(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := zkstream.Connect(ctx, servers, zkstream.WithTLS(&tls.Config{RootCAs: x509.NewCertPool()})); err == nil || !strings.Contains(err.Error(), "TLS: ") {
		t.Errorf("an unknown authority: %v", err)
	}
	c.Close()
}

func selfSigned(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestAServerThatLostItsDataIsNoObstacle(t *testing.T) {
	t.Parallel()
	e := ensemble.Start(t, 1)
	server := e.Servers()[0]
	c := connect(t, e.ConnectString(), zkstream.WithSessionTimeout(4*time.Second))
	for i := range 10 {
		if err := c.Create(t.Context(), fmt.Sprintf("/n%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Children(t.Context(), "/")
	until(t, s, func(c zkstream.Children) bool { return c.Contains("n9") })
	gone := c.Data(t.Context(), "/n0")
	next(t, gone)
	if _, err := c.Register(t.Context(), "/svc", addr, nil); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{server.Kill(), server.Wipe(), server.Restart(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	until(t, s, func(c zkstream.Children) bool { return !c.Contains("n9") })
	until(t, gone, func(d zkstream.Data) bool { return !d.Exists() })
	until(t, c.Children(t.Context(), "/svc"), func(c zkstream.Children) bool { return c.Contains(addr) })
	err := c.Create(t.Context(), "/n0", nil)
	for errors.Is(err, zkstream.ErrUnknown) { // a busy machine may lose the connection once more
		err = c.Create(t.Context(), "/n0", nil)
	}
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		t.Fatal(err)
	}
	until(t, gone, func(d zkstream.Data) bool { return d.Exists() })
}
