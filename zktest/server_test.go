package zktest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestServerListensWhereItIsTold(t *testing.T) {
	first := Start(t, WithAddr("127.0.0.1:0"))
	if _, err := New(WithAddr(first.Addr())); err == nil {
		t.Fatal("two servers on one address")
	}
	if text, err := dialWord(t, first.Addr(), "ruok"); err != nil || text != "imok" {
		t.Fatalf("%q, %v", text, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Addr()
	c := rawSession(t, s, time.Minute)
	s.Close()
	s.Close()
	c.closed(t)
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Fatal("it still listens")
	}
	if _, err := s.Dial(t.Context(), "tcp", ""); err == nil {
		t.Fatal("it can still be dialled")
	}
}

func TestAddrOfAClosedServerPanics(t *testing.T) {
	s, _ := New()
	s.Close()
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	s.Addr()
}

func TestDialTakesAContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(t).Dial(ctx, "tcp", ""); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestDirectMethods(t *testing.T) {
	s := Start(t)
	if err := s.Create("/a/b/c", []byte("x")); err != nil {
		t.Fatal(err)
	}
	data, stat, err := s.Get("/a/b/c")
	if err != nil || string(data) != "x" || stat.DataLength != 1 || stat.Czxid != 3 || stat.Ctime == 0 {
		t.Fatalf("%q, %+v, %v", data, stat, err)
	}
	data[0] = 'y' // a copy
	if data, _, _ := s.Get("/a/b/c"); string(data) != "x" {
		t.Fatalf("%q", data)
	}
	names, err := s.Children("/")
	if err != nil || !slices.Equal(names, []string{"a", "zookeeper"}) {
		t.Fatalf("%v, %v", names, err)
	}
	for _, test := range []struct {
		err  error
		want Code
	}{
		{s.Create("/a/b/c", nil), ErrNodeExists},
		{s.Create("relative", nil), ErrBadArguments},
		{s.Create("/a//b", nil), ErrBadArguments},
		{s.Set("/missing", nil), ErrNoNode},
		{s.Set("//", nil), ErrBadArguments},
		{s.Delete("/a"), ErrNotEmpty},
		{s.Delete("/missing"), ErrNoNode},
		{s.Delete("/zookeeper"), ErrBadArguments},
		{func() error { _, err := s.Children("/missing"); return err }(), ErrNoNode},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%v, want %v", test.err, test.want)
		}
	}
	c := rawSession(t, s, time.Minute)
	c.ok(t, createRequest("/e", 1))
	if err := s.Create("/e/child", nil); !errors.Is(err, ErrNoChildrenEphemerals) {
		t.Fatal(err)
	}
	c.ok(t, request{op: OpGetData, path: "/a/b/c", watch: true})
	c.ok(t, request{op: OpGetChildren, path: "/a/b", watch: true})
	if err := s.Set("/a/b/c", []byte("z")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("/a/b/c"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []event{{typ: nodeDataChanged, path: "/a/b/c"}, {typ: nodeChildrenChanged, path: "/a/b"}} {
		if typ, path := c.event(t); typ != want.typ || path != want.path {
			t.Fatalf("event %v %q, want %+v", typ, path, want)
		}
	}
}

func TestSetACLClosesANodeAndHidesWhatHappensToIt(t *testing.T) {
	s := Start(t)
	s.Create("/a", nil)
	c := rawSession(t, s, time.Minute)
	c.ok(t, request{op: OpGetData, path: "/a", watch: true})
	for _, test := range []struct {
		err  error
		want error
	}{
		{s.SetACL("/a"), ErrInvalidACL},
		{s.SetACL("/missing", ACL{31, "world", "anyone"}), ErrNoNode},
		{s.SetACL("/a", ACL{31, "digest", "somebody:else"}), nil},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%v, want %v", test.err, test.want)
		}
	}
	if code, _ := c.must(t, request{op: OpGetData, path: "/a"}); code != ErrNoAuth {
		t.Errorf("a closed node: %v", code)
	}
	s.Set("/a", []byte("x")) // uses the watch up without an event
	s.SetACL("/a", ACL{31, "world", "anyone"})
	c.ok(t, request{op: OpGetData, path: "/a"})
	if n := s.Stats().DataWatches; n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

func TestStats(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	c.ok(t, createRequest("/e", 1))
	c.ok(t, request{op: OpGetData, path: "/e", watch: true})
	c.ok(t, request{op: OpGetChildren, path: "/", watch: true})
	c.ok(t, request{op: OpAddWatch, path: "/p", mode: 0})
	got := s.Stats()
	if got.Requests[OpConnect] != 1 || got.Requests[OpCreate] != 1 || got.Requests[OpGetData] != 1 {
		t.Errorf("requests: %v", got.Requests)
	}
	got.Requests = nil
	want := Stats{
		Zxid: 2, Nodes: 4, Ephemerals: 1, Sessions: 1, Connections: 1,
		DataWatches: 2, ChildWatches: 2, PersistentWatches: 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCodesAreErrors(t *testing.T) {
	var code Code
	if err := fmt.Errorf("wrapped: %w", ErrNoNode); !errors.As(err, &code) || code != -101 || !errors.Is(err, ErrNoNode) {
		t.Fatal(err)
	}
	if got := ErrNoNode.Error(); got != "zktest: no node (-101)" {
		t.Fatal(got)
	}
	if got := Code(-999).Error(); got != "zktest: error code -999" {
		t.Fatal(got)
	}
	if OpGetData.String() != "getData" || Op(77).String() != "op(77)" {
		t.Fatal(OpGetData, Op(77))
	}
}

// lockedBuilder takes log lines from several goroutines.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWhatIsNotServedIsLogged(t *testing.T) {
	var log lockedBuilder
	s := Start(t, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	rawSession(t, s, time.Minute).must(t, request{op: 77})
	if !strings.Contains(log.String(), "op(77)") {
		t.Fatalf("log: %q", log.String())
	}
}

// recorder keeps what it has read.
type recorder struct {
	net.Conn
	bytes []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.bytes = append(r.bytes, b[:n]...)
	return n, err
}

// lastRecord gives the body of the last TLS record.
func lastRecord(stream []byte) (body []byte) {
	for len(stream) >= 5 {
		end := 5 + int(binary.BigEndian.Uint16(stream[3:]))
		if end > len(stream) {
			return nil
		}
		body, stream = stream[5:end], stream[end:]
	}
	return body
}

func TestServerSpeaksTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"zk.test"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	s := Start(t, WithTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
	memory, err := s.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{memory, tcp} {
		recorded := &recorder{Conn: nc}
		c := &rawClient{nc: tls.Client(recorded, &tls.Config{RootCAs: pool, ServerName: "zk.test"})}
		if _, err := c.handshake(time.Minute, false); err != nil {
			t.Fatal(err)
		}
		c.ok(t, request{op: OpGetData, path: "/"})
		c.ok(t, request{op: OpCloseSession})
		c.closed(t)
		if last := lastRecord(recorded.bytes); len(last) != 2+1+16 { // an alert, its type, and the tag that seals them
			t.Errorf("the connection ends with a record of %d bytes, not with an alert", len(last))
		}
		nc.Close()
	}
	plain := rawDial(t, s)
	if _, err := plain.handshake(time.Minute, false); err == nil {
		t.Fatal("a handshake without TLS")
	}
	s.Freeze(true)
	frozen := rawDial(t, s)
	frozen.nc.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if err := tls.Client(frozen.nc, &tls.Config{RootCAs: pool, ServerName: "zk.test"}).Handshake(); !timedOut(err) {
		t.Fatalf("a frozen server shakes hands: %v", err)
	}
}

// heapInUse is what is in use after a collection.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNodesAndWatchesAreSmall(t *testing.T) {
	const (
		count = 100_000
		limit = 500 // bytes for each
	)
	path := func(i int) string { return fmt.Sprintf("/services/members/member-%06d", i) }
	data := []byte("127.0.0.1:8080 and a little more")
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	empty := heapInUse()
	for i := range count {
		if err := s.Create(path(i), data); err != nil {
			t.Fatal(err)
		}
	}
	nodes := heapInUse()
	for i := 0; i < count; i += 1000 {
		w := &watchLists{relativeZxid: 1 << 40}
		for j := range 1000 {
			w.data = append(w.data, path(i+j))
		}
		c.ok(t, request{op: OpSetWatches, watches: w})
	}
	watches := heapInUse()
	if st := s.Stats(); st.Nodes < count || st.DataWatches != count {
		t.Fatalf("%+v", st)
	}
	perNode, perWatch := (nodes-empty)/count, (watches-nodes)/count
	t.Logf("%d bytes per node, %d per watch", perNode, perWatch)
	if perNode > limit || perWatch > limit {
		t.Errorf("%d bytes per node, %d per watch, want at most %d", perNode, perWatch, limit)
	}
	s.Disconnect()
	if st := s.Stats(); st.DataWatches != 0 {
		t.Errorf("%d watches left", st.DataWatches)
	}
}

func TestServerAnswersAtOnce(t *testing.T) {
	best := time.Hour
	for range 5 { // a noisy machine may delay one
		began := time.Now()
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c := &rawClient{nc: nc}
		if _, err := c.handshake(time.Minute, false); err != nil {
			t.Fatal(err)
		}
		c.ok(t, request{op: OpGetData, path: "/"})
		best = min(best, time.Since(began))
		nc.Close()
		s.Close()
	}
	t.Logf("first answer after %v", best)
	if best > 20*time.Millisecond {
		t.Errorf("first answer after %v, want less than 20 ms", best)
	}
}
