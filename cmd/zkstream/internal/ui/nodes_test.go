package ui_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// secret is an access control list that lets nobody read.
var secret = zktest.ACL{Perms: 16, Scheme: "world", ID: "anyone"}

// Before the tree has been read, the same is asked of ZooKeeper.
func eachWay(t *testing.T, test func(t *testing.T, f *fixture), opts ...zktest.Option) {
	t.Run("from the tree", func(t *testing.T) { test(t, start(t, ui.Options{}, opts...)) })
	t.Run("before it is read", func(t *testing.T) { test(t, start(t, ui.Options{}, opts...)) })
}

func TestChildrenAreOnPages(t *testing.T) {
	eachWay(t, func(t *testing.T, f *fixture) {
		f.must(f.server.Create("/a", nil))
		for i := range 25 {
			f.must(f.server.Create(fmt.Sprintf("/a/%02d", i), nil))
		}
		f.must(f.server.Create("/a/07/x", []byte("1234")))
		if strings.HasSuffix(t.Name(), "tree") {
			f.follow()
		}
		for query, want := range map[string]string{
			"&from=0&limit=3":    "0: 00 01 02",
			"&from=20&limit=10":  "20: 20 21 22 23 24",
			"&from=99&limit=10":  "20: 20 21 22 23 24",
			"&limit=10&at=13":    "10: 10 11 12 13 14 15 16 17 18 19",
			"&limit=2&at=nobody": "0: 00 01",
			"&limit=0":           "0: 00",
			"&from=-5&limit=2":   "0: 00 01",
		} {
			c := get[children](f, "/api/children?path=/a"+query)
			if got := fmt.Sprintf("%d: %s", c.From, c.names()); got != want || c.Total != 25 || !c.Exists {
				t.Errorf("%s: %s, %d in all", query, got, c.Total)
			}
		}
		c := get[children](f, "/api/children?path=/a&from=7&limit=1")
		if c.Rows[0].Children != 1 || c.Node.Children != 25 || c.Node.Path != "/a" {
			t.Errorf("%+v", c)
		}
		if c := get[children](f, "/api/children?path=/missing"); c.Exists || c.Total != 0 || c.Rows == nil {
			t.Errorf("of a missing node: %+v", c)
		}
		if c := get[children](f, "/api/children"); c.names() != "a zookeeper" {
			t.Errorf("of the root: %s", c.names())
		}
	})
}

func TestANodeThatMayNotBeReadIsMarked(t *testing.T) {
	eachWay(t, func(t *testing.T, f *fixture) {
		f.must(f.server.Create("/a", nil))
		f.must(f.server.Create("/a/b", []byte("hidden")))
		f.must(f.server.Create("/a/b/c", nil))
		f.must(f.server.SetACL("/a/b", secret))
		if strings.HasSuffix(t.Name(), "tree") {
			f.follow()
		}
		if c := get[children](f, "/api/children?path=/a"); len(c.Rows) != 1 || !c.Rows[0].Denied || c.Rows[0].Name != "b" {
			t.Errorf("%+v", c)
		}
		if c := get[children](f, "/api/children?path=/a/b"); !c.Exists || !c.Node.Denied || len(c.Rows) != 0 {
			t.Errorf("below it: %+v", c)
		}
		if n := get[node](f, "/api/node?path=/a/b"); !n.Denied || !n.Exists || len(n.Data) > 0 {
			t.Errorf("it: %+v", n)
		}
		if status, _ := f.request("GET", "/api/content?path=/a/b", "", nil); status != 403 {
			t.Errorf("its content: %d", status)
		}
	})
}

func TestANodeIsShownWithAllThatIsKnownOfIt(t *testing.T) {
	f := start(t, ui.Options{}).follow()
	content := []byte("caf\xe9\x00<script>")
	_, err := f.client.CreateNode(t.Context(), "/a", content, zkstream.NodeACL(append(zk.WorldACL(zk.PermRead), zk.DigestACL(zk.PermAll, "alice", "s3cr3t")...)))
	f.must(err)
	n := get[node](f, "/api/node?path=/a")
	if !n.Exists || !bytes.Equal(n.Data, content) || n.Cut || n.Version != 0 {
		t.Errorf("%+v", n)
	}
	if len(n.ACL) != 2 || n.ACL[0].Scheme != "world" || n.ACL[0].Perms != "r" || n.ACL[1].ID != "alice" || n.ACL[1].Perms != "rwcda" {
		t.Errorf("the hash of a password must not be shown: %+v", n.ACL)
	}
	if n := get[node](f, "/api/node?path=/missing"); n.Exists {
		t.Errorf("%+v", n)
	}
	if status, body := f.request("GET", "/api/content?path=/a", "", nil); status != 200 || body != string(content) {
		t.Errorf("the content is %q", body)
	}
	large := bytes.Repeat([]byte("x"), ui.MostShown+1)
	f.server.Create("/large", large)
	if n := get[node](f, "/api/node?path=/large"); !n.Cut || len(n.Data) != ui.MostShown || n.Size != len(large) {
		t.Errorf("of a large node %d bytes are shown", len(n.Data))
	}
}

func TestANodeIsShownAsLastSeenWithoutAServer(t *testing.T) {
	f := start(t, ui.Options{}, zktest.WithTree("/a\n  x = 1\n  /b\n")).follow()
	e := f.events()
	f.server.Stop(true)
	e.until("a lost connection", func(m message) bool { return m.Session.State == "suspended" })
	n := get[node](f, "/api/node?path=/a")
	if string(n.Data) != `{"x":1}` || n.Children != 1 || n.Old == "" {
		t.Errorf("%+v, %s", n, n.Data)
	}
}

func TestASearchFindsPathsAndSessions(t *testing.T) {
	f := start(t, ui.Options{}, zktest.WithTree("/Services\n  /Mail\n  /search\n"))
	owner := f.server.OpenSession(time.Minute)
	for i := range 250 {
		_, err := f.server.Add(zktest.Node{Path: fmt.Sprintf("/Services/search/%03d", i), Session: owner})
		f.must(err)
	}
	f.follow()
	type found struct {
		Total int
		Rows  []row
	}
	for q, want := range map[string]int{"mail": 1, "SERVICES": 253, "/search/00": 10, "nobody": 0, "": 0, fmt.Sprintf("0x%X", owner): 250} {
		r := get[found](f, "/api/search?q="+q)
		if r.Total != want || len(r.Rows) != min(want, 200) || r.Rows == nil {
			t.Errorf("%q: %d found, %d listed", q, r.Total, len(r.Rows))
		}
		if strings.HasPrefix(q, "0x") && r.Rows[0].Owner != strings.ToLower(q) {
			t.Errorf("%q: %+v", q, r.Rows[0])
		}
	}
}

func TestNothingOutsideTheRootIsShown(t *testing.T) {
	f := start(t, ui.Options{Root: "/a", Write: true}, zktest.WithTree("/a\n  /b\n/ab\n")).follow()
	for _, target := range []string{"/api/children?path=/", "/api/node?path=/ab", "/api/content?path=/zookeeper", "/api/node?path=b"} {
		if status, body := f.request("GET", target, "", nil); status != 400 {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
	if status, _ := f.request("POST", "/api/create", `{"path": "/c"}`, nil); status != 400 {
		t.Errorf("a node was created outside: %d", status)
	}
	if c := get[children](f, "/api/children"); c.names() != "b" || c.Node.Path != "/a" {
		t.Errorf("%+v", c)
	}
}

func TestATreeThatIsTooLargeIsAnError(t *testing.T) {
	f := start(t, ui.Options{MaxNodes: 5}, zktest.WithTree("/a\n/b\n/c\n"))
	go f.page.Run(t.Context()) // ends with the client
	m := f.events().until("an error", func(m message) bool { return m.Error != "" })
	if !strings.Contains(m.Error, "more than 5 nodes") || m.Ready {
		t.Errorf("%+v", m)
	}
	if c := get[children](f, "/api/children"); c.names() != "a b c zookeeper" { // one can still look around
		t.Errorf("%s", c.names())
	}
}

func TestThePageItselfIsServed(t *testing.T) {
	f := start(t, ui.Options{})
	for target, want := range map[string]string{"/": "text/html", "/app.js": "javascript", "/style.css": "text/css", "/icon.svg": "image/svg"} {
		resp, err := http.Get(f.http.URL + target)
		f.must(err)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Content-Type"), want) {
			t.Errorf("%s: %s, %s", target, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
}
