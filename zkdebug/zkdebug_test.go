package zkdebug_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zkdebug"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a client with a Recorder, and the server in the process that it talks to.
type world struct {
	t        *testing.T
	server   *zktest.Server
	client   *zkstream.Client
	recorder *zkdebug.Recorder
}

// inWorld runs a test in virtual time.
func inWorld(t *testing.T, test func(w *world), opts ...zkstream.Option) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, server: zktest.Start(t), recorder: new(zkdebug.Recorder)}
		opts = append(opts, zkstream.WithDialer(w.server.Dial), zkstream.WithTrace(w.recorder.Trace()))
		var err error
		if w.client, err = zkstream.Connect(t.Context(), "zktest", opts...); err != nil {
			t.Fatal(err)
		}
		defer w.client.Close()
		test(w)
	})
}

func serve(h http.Handler, method, target string) *http.Response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec.Result()
}

func (w *world) get(query string) string {
	w.t.Helper()
	synctest.Wait()
	resp := serve(w.recorder.Handler(w.client), "GET", "/debug/zkstream"+query)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		w.t.Fatalf("%s: %s", resp.Status, body)
	}
	return string(body)
}

// json returns the report as it is documented.
func (w *world) json(query string) (r report) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.get("?format=json"+query)), &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

type report struct {
	Time    time.Time
	Session struct {
		State, ID, Server string
		Timeout           float64
		Since             *time.Time
	}
	Stats   map[string]any
	Watches []struct {
		Path, Kind, State, Zxid     string
		Nodes, Streams, Behind, Lag int
		Waiting                     float64
	}
	Registrations []struct{ Path, Addr, Status, Error string }
	Servers       []struct {
		Server, Error      string
		Connects, Failures int
		At                 *time.Time
	}
	Events        []struct{ Kind, Text, Error string }
	Calls, Failed []struct {
		Op, Path, Error string
		Took            float64
		At              time.Time
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestTheReportHasSessionWatchesRegistrationsAndCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		w.must(w.server.Create("/s", nil))
		_, err := w.client.Register(ctx, "/s", "10.0.0.5:8080", nil)
		w.must(err)
		children := w.client.Children(ctx, "/s")
		children.Next(ctx)
		w.client.Data(ctx, "/missing")
		w.client.Delete(ctx, "/absent")
		w.client.Sync(ctx, "/")

		r := w.json("")
		if s := r.Session; s.State != "connected" || s.Server != "zktest:2181" || s.Timeout != 10 || s.Since == nil || !strings.HasPrefix(s.ID, "0x") {
			t.Errorf("session %+v", s)
		}
		if r.Stats["Streams"] != 2.0 {
			t.Errorf("stats %v", r.Stats)
		}
		if len(r.Watches) != 2 || r.Watches[0].Path != "/missing" || r.Watches[0].Lag != 1 || r.Watches[1].Path != "/s" ||
			r.Watches[1].Kind != "children" || r.Watches[1].Lag != 0 || r.Watches[1].State != "current" {
			t.Errorf("watches %+v", r.Watches)
		}
		if len(r.Registrations) != 1 || r.Registrations[0].Path != "/s/10.0.0.5:8080" || r.Registrations[0].Status != "registered" {
			t.Errorf("registrations %+v", r.Registrations)
		}
		if len(r.Servers) != 1 || r.Servers[0].Connects != 1 || r.Servers[0].Failures != 0 || r.Servers[0].At != nil {
			t.Errorf("servers %+v", r.Servers)
		}
		if len(r.Events) != 2 || r.Events[0].Kind != "session" || r.Events[1].Kind != "connect" {
			t.Errorf("events %+v", r.Events)
		}
		if len(r.Calls) != 2 || r.Calls[0].Op != "sync" || r.Calls[1].Op != "delete" ||
			len(r.Failed) != 1 || r.Failed[0].Path != "/absent" || !strings.Contains(r.Failed[0].Error, "does not exist") {
			t.Errorf("calls %+v, failed %+v", r.Calls, r.Failed)
		}
		page := w.get("")
		for _, want := range []string{"connected", "zktest:2181", "/missing", "/s/10.0.0.5:8080", "/absent", "node does not exist"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	})
}

func TestFailuresOfServersAreCounted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.client.Data(w.t.Context(), "/a").Next(w.t.Context())
		w.server.Stop(true)
		time.Sleep(time.Minute)
		r := w.json("")
		if s := r.Servers[0]; s.Failures < 10 || s.Error == "" || s.At == nil || r.Session.State != "expired" {
			t.Errorf("%+v, %+v", s, r.Session)
		}
		if r.Session.Since == nil || r.Time.Sub(*r.Session.Since) < 45*time.Second {
			t.Errorf("expired since %v, at %v", r.Session.Since, r.Time)
		}
		w.server.Stop(false)
		time.Sleep(time.Minute)
		r = w.json("")
		if s := r.Servers[0]; s.Connects != 2 || r.Session.State != "connected" {
			t.Errorf("%+v, %+v", s, r.Session)
		}
		if e := r.Events[0]; e.Kind != "resync" && r.Events[1].Kind != "resync" {
			t.Errorf("%+v", r.Events[:2])
		}
	})
}

func TestWhatNeedsAttentionComesFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		quick := w.client.Data(ctx, "/a")
		quick.Next(ctx)
		stuck := w.client.Data(ctx, "/z")
		w.must(w.server.Create("/z", nil))
		time.Sleep(5 * time.Second)
		page := w.get("")
		first, second := strings.Index(page, ">/z<"), strings.Index(page, ">/a<")
		if first < 0 || second < first || !strings.Contains(page, `<tr class="slow">`) || !strings.Contains(page, "1 to look at") {
			t.Errorf("/z at %d, /a at %d in\n%s", first, second, page)
		}
		stuck.Next(ctx)
		if page := w.get(""); !strings.Contains(page, "0 to look at") {
			t.Error("somebody is still behind")
		}
	})
}

func TestNeitherContentNorCredentialsAreShown(t *testing.T) {
	const secret = "s3cr3t"
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		w.must(w.client.Create(ctx, "/a", map[string]any{"password": secret}))
		_, err := w.client.CreateNode(ctx, "/raw", []byte("{"+secret))
		w.must(err)
		if err := w.client.UpdateProperties(ctx, "/raw", map[string]any{"x": secret}); err == nil {
			t.Error("an update of what is no JSON has succeeded")
		}
		w.client.Write(ctx, "/absent", []byte(secret), zkstream.AnyVersion)
		r, err := w.client.Register(ctx, "/s", "10.0.0.5:80", map[string]any{"key": secret})
		w.must(err)
		w.must(r.Update(ctx, map[string]any{"other": secret}))
		w.client.Tree(ctx, "/").Next(ctx)
		w.client.Properties(ctx, "/a").Next(ctx)
		w.server.Disconnect()
		time.Sleep(time.Second)
		w.server.ExpireAll()
		time.Sleep(time.Minute)
		for _, query := range []string{"", "?format=json"} {
			if strings.Contains(w.get(query), secret) {
				t.Errorf("%q shows a secret", query)
			}
		}
	}, zkstream.WithAuth("digest", []byte("user:"+secret)))
}

func TestHostileTextIsEscaped(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		const hostile = "/<script>alert(1)</script>\u202e\"'&"
		w.client.Data(ctx, hostile)
		w.client.Delete(ctx, hostile)
		page := w.get("?q=" + "%3Cscript%3E%22")
		page += w.get("") + w.get("?format=json")
		if strings.Contains(page, "<script>") {
			t.Errorf("not escaped:\n%s", page)
		}
		if page := w.get(""); strings.Contains(page, "\u202e") || !strings.Contains(page, `\u202e`) {
			t.Error("an override of the text's direction is not shown as such")
		}
		if r := w.json(""); r.Watches[0].Path != hostile {
			t.Errorf("in JSON it is %q", r.Watches[0].Path)
		}
	})
}

func TestARecorderIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		long := "/" + strings.Repeat("ä", 10_000)
		for i := range 150 {
			w.client.Delete(w.t.Context(), fmt.Sprint(long, i))
		}
		r := w.json("")
		if len(r.Calls) != 100 || len(r.Failed) != 100 || len(w.get("?format=json")) > 1<<20 {
			t.Errorf("%d calls, %d failed, %d bytes", len(r.Calls), len(r.Failed), len(w.get("?format=json")))
		}
		if path := r.Calls[0].Path; !strings.HasSuffix(path, "…") || len(path) > 1024 || strings.Contains(path, "\ufffd") {
			t.Errorf("a long path is %q", path)
		}
		w.client.Sync(w.t.Context(), "/")
		for range 99 {
			w.client.Sync(w.t.Context(), "/")
		}
		if r := w.json(""); len(r.Failed) != 100 || r.Calls[99].Op != "sync" {
			t.Error("calls that went well have pushed out those that failed, or have not pushed out those that are older")
		}
	})
}

func TestALongListIsOnPages(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		for i := range 450 {
			w.client.Data(ctx, fmt.Sprintf("/n/%03d", i))
		}
		seen := map[string]bool{}
		for page := 1; page <= 3; page++ {
			for _, path := range regexp.MustCompile(`>(/n/\d+)<`).FindAllStringSubmatch(w.get(fmt.Sprint("?page=", page)), -1) {
				seen[path[1]] = true
			}
		}
		if len(seen) != 450 {
			t.Errorf("three pages have %d paths", len(seen))
		}
		if page := w.get("?page=2&q=/n/"); !strings.Contains(page, "page 2 of 3") || !strings.Contains(page, `href="?page=3&amp;q=%2Fn%2F"`) {
			t.Error("page 2 does not lead to page 3")
		}
		if page := w.get("?page=99"); !strings.Contains(page, "page 3 of 3") {
			t.Error("a page that is not there is not the last one")
		}
		if n := len(w.json("").Watches); n != 450 {
			t.Errorf("JSON has %d", n)
		}
		if n := len(w.json("&q=/n/01").Watches); n != 10 {
			t.Errorf("JSON with q has %d", n)
		}
	})
}

func TestItWorksUnderAnyPrefix(t *testing.T) {
	inWorld(t, func(w *world) {
		synctest.Wait()
		h := w.recorder.Handler(w.client)
		mux := http.NewServeMux()
		mux.Handle("/debug/zkstream", h)
		mux.Handle("/a/b/", http.StripPrefix("/a/b", h))
		mux.Handle("/plain", zkdebug.Handler(w.client))
		for _, target := range []string{"/debug/zkstream", "/a/b/", "/a/b/c?refresh=5", "/plain"} {
			resp := serve(mux, "GET", target)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 200 || !strings.Contains(string(body), "connected") {
				t.Errorf("%s: %s", target, resp.Status)
			}
			for _, link := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(string(body), -1) {
				if !strings.HasPrefix(link[1], "?") {
					t.Errorf("%s: a link to %s", target, link[1])
				}
			}
			if strings.Contains(string(body), "A Recorder adds") != (target == "/plain") {
				t.Errorf("%s: it does not say whether there is a Recorder", target)
			}
			if strings.Contains(string(body), `http-equiv="refresh" content="5"`) != strings.Contains(target, "refresh") {
				t.Errorf("%s: refreshes, or does not", target)
			}
		}
	})
}

func TestTheAnswerIsNeitherKeptNorFramedNorScripted(t *testing.T) {
	inWorld(t, func(w *world) {
		resp := serve(w.recorder.Handler(w.client), "GET", "/")
		for key, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := resp.Header.Get(key); got != want {
				t.Errorf("%s: %q", key, got)
			}
		}
		body, _ := io.ReadAll(resp.Body)
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindSubmatch(body)[1]
		sum := sha256.Sum256(style)
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])) {
			t.Errorf("the policy %q does not have the style sheet", policy)
		}
		if resp := serve(w.recorder.Handler(w.client), "POST", "/"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST: %s", resp.Status)
		}
		if resp := serve(w.recorder.Handler(w.client), "GET", "/?format=json"); resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("JSON is %q", resp.Header.Get("Content-Type"))
		}
	})
}

func TestAClosedClientIsShownAsSuch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.client.Close()
		if r := w.json(""); r.Session.State != "closed" || len(r.Watches) != 0 || r.Watches == nil || r.Registrations == nil {
			t.Errorf("%+v", r)
		}
		for _, query := range []string{"", "?format=json"} {
			if resp := serve(zkdebug.Handler(new(zkstream.Client)), "GET", "/"+query); resp.StatusCode != 200 {
				t.Errorf("of a zero client: %s", resp.Status)
			}
		}
	})
}

func TestThePageIsServedWhileMuchGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil && i < 500; i++ {
				w.client.Sync(ctx, "/")
				w.client.Data(ctx, fmt.Sprint("/n", i))
			}
		}()
		for range 20 {
			serve(w.recorder.Handler(w.client), "GET", "/")
		}
		cancel()
		<-done
	})
}
