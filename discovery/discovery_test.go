package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	. "github.com/zkstream/zkstream/discovery"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

var zooKeeper ensemble.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(zooKeeper.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "something is left:", err)
		code = 1
	}
	os.Exit(code)
}

// inBubble runs a test with a server and a client in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, server *zktest.Server, c *zkstream.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		c, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, server, c)
	})
}

func create(t *testing.T, server *zktest.Server, path, content string) {
	t.Helper()
	if err := server.Create(path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, s *zkstream.Stream[Endpoints]) Endpoints {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// counting counts what it decodes.
type counting struct {
	Format
	decodes atomic.Int64
}

func (c *counting) Decode(name string, content []byte) (Endpoint, error) {
	c.decodes.Add(1)
	return c.Format.Decode(name, content)
}

func TestWatchDecodesWhatHasChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		format := &counting{Format: Curator{}}
		s := Watch(t.Context(), c, "/services/search", format)
		if e := next(t, s); e.Exists() || e.Path() != "/services/search" || len(e.Addrs()) != 0 {
			t.Errorf("without a node: %+v", e)
		}
		create(t, server, "/services", "")
		create(t, server, "/services/search", "")
		for i := range 5 {
			create(t, server, fmt.Sprint("/services/search/i-", i), fmt.Sprintf(`{"address":"10.0.0.%d","port":80}`, i%4))
		}
		synctest.Wait()
		e := next(t, s)
		if want := []string{"10.0.0.0:80", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}; !e.Exists() || !slices.Equal(e.Addrs(), want) {
			t.Errorf("%v, not %v", e.Addrs(), want)
		}
		before := format.decodes.Load()
		if err := server.Set("/services/search/i-3", []byte(`{"address":"b","port":80,"enabled":false}`)); err != nil {
			t.Fatal(err)
		}
		e = next(t, s)
		if want := []string{"10.0.0.0:80", "10.0.0.1:80", "10.0.0.2:80"}; !slices.Equal(e.Addrs(), want) {
			t.Errorf("%v, not %v", e.Addrs(), want)
		}
		if got, err := e.Get("i-3"); err != nil || got.Status != OutOfService || got.Addr != "b:80" {
			t.Errorf("what is not up is not there: %+v, %v", got, err)
		}
		if all := slices.Collect(e.All()); len(all) != 5 || all[3].Name != "i-3" || all[4].Addr != "10.0.0.0:80" {
			t.Errorf("%+v", all)
		}
		if n := format.decodes.Load() - before; n != 1 {
			t.Errorf("%d nodes were decoded for a change of one", n)
		}
	})
}

func TestANodeThatCannotBeDecodedHidesNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		create(t, server, "/s", "")
		create(t, server, "/s/member_1", `{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE"}`)
		create(t, server, "/s/member_2", "\x0b\x00\x01")
		create(t, server, "/s/member_3", `{"serviceEndpoint":{"host":"c","port":1},"status":"ALIVE"}`)
		create(t, server, "/s/member_4", `{"serviceEndpoint":{"host":"d","port":1},"status":"ALIVE"}`)
		create(t, server, "/s/vector_1", `{"vector":[]}`)
		if err := server.SetACL("/s/member_4", zktest.ACL{Perms: 31, Scheme: "digest", ID: "other:x"}); err != nil {
			t.Fatal(err)
		}
		s := Watch(t.Context(), c, "/s", Serverset{})
		e := next(t, s)
		if want := []string{"a:1", "c:1"}; !slices.Equal(e.Addrs(), want) {
			t.Errorf("%v, not %v", e.Addrs(), want)
		}
		var failed []string
		for name, err := range e.Errors() {
			failed = append(failed, name)
			var pathErr *zkstream.PathError
			if !errors.As(err, &pathErr) || pathErr.Path != "/s/"+name || pathErr.Op != "decode" {
				t.Errorf("%s: %v", name, err)
			}
			if _, got := e.Get(name); got != err {
				t.Errorf("%s: Get: %v", name, got)
			}
			if name == "member_4" && !errors.Is(err, zk.ErrNoAuth) {
				t.Errorf("why it may not be read is lost: %v", err)
			}
		}
		if want := []string{"member_2", "member_4"}; !slices.Equal(failed, want) {
			t.Errorf("errors for %v, not %v", failed, want)
		}
		for _, name := range []string{"vector_1", "member_9"} {
			if _, err := e.Get(name); !errors.Is(err, ErrNotEndpoint) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := server.Set("/s/member_2", []byte(`{"serviceEndpoint":{"host":"b","port":1},"status":"STARTING"}`)); err != nil {
			t.Fatal(err)
		}
		if got, err := next(t, s).Get("member_2"); err != nil || got.Status != Starting {
			t.Errorf("mended: %+v, %v", got, err)
		}
	})
}

func TestTheEndOfAWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *zktest.Server, c *zkstream.Client) {
		if _, err := Watch(t.Context(), c, "/s", nil).Next(t.Context()); err == nil || !strings.Contains(err.Error(), "format is nil") {
			t.Errorf("without a format: %v", err)
		}
		if _, err := Watch(t.Context(), c, "s", ZC{}).Next(t.Context()); !errors.Is(err, zk.ErrInvalidPath) {
			t.Errorf("an invalid path: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		s := Watch(ctx, c, "/s", ZC{})
		next(t, s)
		reason := errors.New("enough")
		cancel(reason)
		if _, err := s.Next(t.Context()); err != reason {
			t.Errorf("%v, not %v", err, reason)
		}
	})
}

// What each format registers is seen by a watch of that format, also after the session has expired.
func TestARegistrationIsSeenAndComesBack(t *testing.T) {
	for _, f := range []Format{ZC{}, Curator{}, Curator{Payload: SpringPayload}, Curator{Payload: DubboPayload}, Serverset{}, Nerve{}, Nerve{PathEncoding: true}} {
		t.Run(fmt.Sprintf("%T%+v", f, f), func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				r, err := Register(t.Context(), c, "/services/search", f, Endpoint{Addr: "10.0.0.5:8080"})
				if err != nil {
					t.Fatal(err)
				}
				want := []string{"10.0.0.5:8080"}
				if r.Addr() != want[0] {
					t.Errorf("it says that it has registered %s", r.Addr())
				}
				s := Watch(t.Context(), c, "/services/search", f)
				e := next(t, s)
				if !slices.Equal(e.Addrs(), want) {
					t.Errorf("%+v", e)
				}
				before := r.Path()
				server.ExpireSession(c.Conn().SessionID())
				for e = next(t, s); !slices.Equal(e.Addrs(), want); {
					e = next(t, s)
				}
				synctest.Wait()
				if _, sequential := f.(Serverset); sequential && r.Path() == before {
					t.Errorf("the sequence node has come back as %s", before)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				for len(slices.Collect(e.All())) > 0 {
					e = next(t, s)
				}
			})
		})
	}
}

func TestARefusedRegistration(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for _, at := range []struct {
			format Format
			e      Endpoint
			want   string
		}{
			{nil, Endpoint{Addr: "a:1"}, "format is nil"},
			{ZC{}, Endpoint{}, "missing port"},
			{Serverset{}, Endpoint{Addr: "0.0.0.0:80"}, "Advertise"},
			{Curator{}, Endpoint{Addr: "a:1", Raw: CuratorInstance{ServiceType: "STATIC"}}, "meant to stay"},
			{Serverset{Endpoint: "http"}, Endpoint{Addr: "a:1", Weight: 3}, "no weights"},
		} {
			_, err := Register(t.Context(), c, "/s", at.format, at.e)
			var pathErr *zkstream.PathError
			if !errors.As(err, &pathErr) || pathErr.Op != "register" || !strings.Contains(err.Error(), at.want) {
				t.Errorf("%T %+v: %v", at.format, at.e, err)
			}
		}
		if left, err := server.Children("/"); err != nil || slices.Contains(left, "s") {
			t.Errorf("left: %v, %v", left, err)
		}
		r, err := Register(t.Context(), c, "/s", Curator{}, Endpoint{Name: "i", Addr: "a:1", Raw: CuratorInstance{ServiceType: "DYNAMIC_SEQUENTIAL"}})
		if err != nil || r.Path() != "/s/i0000000000" {
			t.Errorf("a sequential instance: %v, %v", r.Path(), err)
		}
	})
}

func TestPrometheusGetsTheTargets(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		create(t, server, "/s", "")
		create(t, server, "/empty", "")
		services := []*zkstream.Stream[Endpoints]{
			Watch(t.Context(), c, "/empty", Nerve{}), Watch(ctx, c, "/s", Nerve{}), Watch(t.Context(), c, "/z", Serverset{}),
		}
		handler := NewHTTPSD(services...)
		ask := func(method string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
			return w
		}
		expect := func(status int, content string) {
			t.Helper()
			synctest.Wait()
			w := ask("GET")
			if w.Code != status || status == 200 && (w.Body.String() != content || w.Header().Get("Content-Type") != "application/json") {
				t.Errorf("%d %s, %v\nnot %d %s", w.Code, w.Body, w.Header(), status, content)
			}
		}
		zero := NewHTTPSD(Watch(t.Context(), c, "/never", ZC{}))
		w := httptest.NewRecorder()
		zero.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)) // the read is under way, or has just been answered
		if w.Code != 503 && w.Body.String() != "[]" {
			t.Errorf("before the first snapshot: %d %s", w.Code, w.Body)
		}
		expect(200, "[]")
		create(t, server, "/s/a_1", `{"host":"a","port":1,"name":"a","labels":{"zone-1":"<x>","zone_1":"y"}}`)
		create(t, server, "/s/b_2", `nothing`)
		create(t, server, "/z", "")
		create(t, server, "/z/member_3", `{"serviceEndpoint":{"host":"::1","port":1},"status":"DEAD"}`)
		expect(200, `[{"targets":["a:1"],"labels":{"__meta_zookeeper_attribute_zone_1":"y","__meta_zookeeper_name":"a_1","__meta_zookeeper_path":"/s",`+
			`"__meta_zookeeper_status":"UP","__meta_zookeeper_weight":"1"}},`+
			`{"targets":["[::1]:1"],"labels":{"__meta_zookeeper_name":"member_3","__meta_zookeeper_path":"/z",`+
			`"__meta_zookeeper_status":"DEAD","__meta_zookeeper_weight":"1"}}]`)
		if got := next(t, services[1]); len(got.Addrs()) != 1 {
			t.Errorf("the handler has taken the snapshot out of the channel: %v", got)
		}
		if w := ask("POST"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST: %d %v", w.Code, w.Header())
		}
		cancel()
		expect(503, "")
	})
}
