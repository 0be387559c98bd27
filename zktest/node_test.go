package zktest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/zktext"
)

func TestAddMakesNodesOfAnyKind(t *testing.T) {
	s := Start(t, WithExtendedTypes())
	id := s.OpenSession(time.Hour)
	reader := ACL{1, "world", "anyone"}
	for _, n := range []Node{
		{Path: "/services/10.0.0.2:80", Data: []byte("{}"), Session: id, ACL: []ACL{reader}},
		{Path: "/services/queue-", Sequence: true},
		{Path: "/services/queue-", Sequence: true, Session: id},
		{Path: "/deep/below/container", Container: true},
		{Path: "/ttl", TTL: time.Minute},
	} {
		if _, err := s.Add(n); err != nil {
			t.Fatal(n, err)
		}
	}
	const want = `/
/deep
/deep/below
/deep/below/container container
/services
/services/10.0.0.2:80 "{}" ephemeral acl world:anyone:1
/services/queue-0000000001
/services/queue-0000000002 ephemeral
/ttl ttl 1m0s
`
	if got := s.Dump("/"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	nodes := s.Nodes("/services")
	if len(nodes) != 4 || nodes[1].Session != id || nodes[1].Stat.EphemeralOwner != id || nodes[2].Session != 0 ||
		!slices.Equal(nodes[1].ACL, []ACL{reader}) || nodes[0].Path != "/services" {
		t.Errorf("%+v", nodes)
	}
	nodes[1].Data[0] = 'x' // a copy
	if data, _, _ := s.Get("/services/10.0.0.2:80"); string(data) != "{}" {
		t.Errorf("%q", data)
	}
	if got := s.Dump("/zookeeper"); !strings.Contains(got, "/zookeeper/quota\n") {
		t.Error(got)
	}
	if s.Nodes("/missing") != nil || s.Dump("/missing") != "" {
		t.Error("a missing node")
	}
	s.ExpireSession(id)
	if got := s.Dump("/services"); got != "/services\n/services/queue-0000000001\n" {
		t.Error(got)
	}
}

func TestAddRefusesWhatNoClientCouldMake(t *testing.T) {
	s := Start(t)
	id := s.OpenSession(time.Hour)
	if _, err := s.Add(Node{Path: "/e", Session: id}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		Node
		want Code
	}{
		{Node{Path: "/e", Session: id}, ErrNodeExists},
		{Node{Path: "/e/child"}, ErrNoChildrenEphemerals},
		{Node{Path: "/x", Session: 77}, ErrSessionExpired},
		{Node{Path: "/x", Session: id, Container: true}, ErrBadArguments},
		{Node{Path: "/x", Session: id, TTL: time.Second}, ErrBadArguments},
		{Node{Path: "/x", TTL: time.Second}, ErrUnimplemented},
		{Node{Path: "/x", ACL: []ACL{{31, "nosuch", "x"}}}, ErrInvalidACL},
		{Node{Path: "relative"}, ErrBadArguments},
		{Node{Path: "//x", Sequence: true}, ErrBadArguments},
		{Node{}, ErrBadArguments},
	} {
		if path, err := s.Add(test.Node); !errors.Is(err, test.want) || path != "" {
			t.Errorf("%+v: %q, %v", test.Node, path, err)
		}
	}
	if path, err := s.Add(Node{Path: "/q/", Sequence: true}); path != "/q/0000000000" || err != nil {
		t.Errorf("a name that is all number: %q, %v", path, err)
	}
}

func TestASessionWithoutAClientExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := StartEnsemble(t, 3)
		id := e.OpenSession(time.Minute)
		if _, err := e.Add(Node{Path: "/e", Session: id}); err != nil {
			t.Fatal(err)
		}
		if got := e.Dump("/e"); got != "/e ephemeral\n" || len(e.Nodes("/e")) != 1 {
			t.Fatal(got)
		}
		time.Sleep(time.Minute + time.Second)
		if got := e.Dump("/"); got != "/\n" || len(e.Sessions()) != 0 {
			t.Fatal(got, e.Sessions())
		}
	})
}

const treeText = `
/services : service
  threads = 8
  main -> /databases
  /providers
/databases
  size => /services threads
`

func TestWithTreeBeginsWithTheNodesOfATreeText(t *testing.T) {
	for _, n := range []int{1, 3} {
		e := StartEnsemble(t, n, WithTree(treeText))
		for _, s := range e.Members() {
			if got := s.Dump("/"); !strings.HasPrefix(got, "/\n/databases \"{") || !strings.Contains(got, "\n/services/providers") {
				t.Errorf("%d servers: %s", n, got)
			}
			data, _, err := s.Get("/services")
			root, _ := zktext.Parse(treeText)
			content, _ := root.Children[1].Content()
			if err != nil || string(data) != string(content) || !strings.Contains(string(data), `"threads"`) {
				t.Errorf("%q, want %q, %v", data, content, err)
			}
		}
	}
}

func TestWithTreeRefusesWhatCannotBe(t *testing.T) {
	for text, want := range map[string]string{"/a\n  = 5": "line 2", "/zookeeper": "node exists"} {
		if s, err := New(WithTree(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
			if s != nil {
				s.Close()
			}
		}
	}
}
