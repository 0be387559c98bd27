package zktree_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktext"
	. "github.com/zkstream/zkstream/zktree"
)

// What zc.zk 2.1's README does, line by line: the same trees, trims, resolutions and values. Its texts are in this file as
// they stand there, but for the end of a message in places where ours differs from zc.zk's.
func TestTheReadmeOfZcZk(t *testing.T) {
	t.Run("zktest", func(t *testing.T) {
		inBubble(t, func(t *testing.T, _ *zktest.Server, c *zkstream.Client) { readme(t, c) })
	})
	t.Run("zookeeper", func(t *testing.T) {
		c, err := zkstream.Connect(t.Context(), zooKeeper.Server(t).Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clear := func() {
			tops, err := c.List(t.Context(), "/")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range tops.Names() {
				if name != "zookeeper" {
					DeleteAll(t.Context(), c, "/"+name, Force())
				}
			}
		}
		clear()
		defer clear()
		readme(t, c)
	})
}

const readmeTree = `
  /lb : ipvs
    /pools
      /cms
        # The address is fixed because it's
        # exposed externally
        address = '1.2.3.4:80'
        providers -> /cms/providers
      /retail
        address = '1.2.3.5:80'
        providers -> /cms/providers

  /cms : z4m cms
    threads = 3
    /providers
    /databases
      /main
        /providers

  /retail : z4m retail
    threads = 1
    /providers
    /databases
      main -> /cms/databases/main
      /ugc
        /providers
`

// readmeExport is what the README shows in the end.
const readmeExport = system

const readmeRetailPool = `    /retail
      address = u'1.2.3.5:80'
      providers -> /cms/providers
`

const readmeRetail = `/retail : z4m retail
  threads = 1
  /databases
    main -> /cms/databases/main
    /ugc
      /providers
  /providers
`

const readmeUpdate = `
  /lb : ipvs
    /pools
      /cms
        # The address is fixed because it's
        # exposed externally
        address = '1.2.3.4:80'
        providers -> /cms/providers

  /cms : z4m cms
    threads = 4
    /providers
    /databases
      /main
        /providers
`

const readmePropertyLink = `
    /cms : z4m cms
      threads => /fooservice threads
      /databases
        /main
          /providers
      /providers
    /fooservice
      secret = u'1234'
      threads = 3
      /providers
    /lb : ipvs
      /pools
        /cms
          address = u'1.2.3.4:80'
          providers -> /cms/providers
`

// readmeReader makes the assertions of one run of the README.
type readmeReader struct {
	*testing.T
	c *zkstream.Client
}

// properties checks the properties that a stream has next, as a tree text would have them.
func (r readmeReader) properties(s *zkstream.Stream[zkstream.Properties], want string) {
	r.Helper()
	p := next(r.T, s)
	equal(r.T, "the properties of "+p.Path(), (&zktext.Node{Name: "n", Properties: zktext.Properties(p.Bytes())}).String(), "/n\n"+want)
}

func (r readmeReader) children(s *zkstream.Stream[zkstream.Children], path string, want ...string) {
	r.Helper()
	for { // a slow stream has those between, too
		if c := next(r.T, s); c.Path() == path && slices.Equal(c.Names(), want) {
			return
		}
	}
}

func (r readmeReader) resolves(path, want string) {
	r.Helper()
	if got, err := Resolve(r.Context(), r.c, path); got != want || err != nil {
		r.Errorf("%s resolves to %s, %v, want %s", path, got, err, want)
	}
}

func readme(t *testing.T, c *zkstream.Client) {
	r, ctx := readmeReader{t, c}, t.Context()
	put(t, c, "/", "/fooservice\n  /providers\n  database = '/databases/foomain'\n  threads = 1\n  favorite_color = 'red'\n")

	// Register a server providing a service, and get the addresses of service providers.
	var servers []*Registration
	addresses := Children(ctx, c, "/fooservice/providers")
	defer addresses.Close()
	var names []string
	for _, port := range []string{"8080", "8081", "8082"} {
		server, err := Register(ctx, c, "/fooservice/providers", "192.168.0.42:"+port, map[string]any{"pid": 9999})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		servers = append(servers, server)
		names = append(names, "192.168.0.42:"+port)
		r.children(addresses, "/fooservice/providers", names...)
	}

	// Get service configuration data, and update it.
	data := Properties(ctx, c, "/fooservice")
	defer data.Close()
	r.properties(data, "  database = u'/databases/foomain'\n  favorite_color = u'red'\n  threads = 1\n")
	change := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	change(c.UpdateProperties(ctx, "/fooservice", map[string]any{"threads": 2, "secret": "123"}))
	r.properties(data, "  database = u'/databases/foomain'\n  favorite_color = u'red'\n  secret = u'123'\n  threads = 2\n")
	change(c.UpdateProperties(ctx, "/fooservice", map[string]any{"threads": 1}))
	r.properties(data, "  database = u'/databases/foomain'\n  favorite_color = u'red'\n  secret = u'123'\n  threads = 1\n")
	change(c.SetProperties(ctx, "/fooservice", map[string]any{"threads": 3, "secret": "1234"}))
	r.properties(data, "  secret = u'1234'\n  threads = 3\n")

	// Tree-definition format, import, and export.
	put(t, c, "/", readmeTree)
	equal(t, "the export", export(t, c, "/"), readmeExport)
	foo := "/fooservice\n  secret = u'1234'\n  threads = 3\n  /providers\n"
	equal(t, "a portion", export(t, c, "/fooservice"), foo)
	fooAll := foo
	for _, name := range names {
		fooAll += "    /" + name + "\n      pid = 9999\n"
	}
	equal(t, "with ephemeral nodes", export(t, c, "/fooservice", WithEphemerals()), fooAll)
	equal(t, "the import over it", put(t, c, "/", readmeUpdate), "/cms threads change from 3 to 4\nextra path not trimmed: /lb/pools/retail\n")
	updated := strings.Replace(readmeExport, "threads = 3", "threads = 4", 1)
	equal(t, "the export", export(t, c, "/"), updated)
	equal(t, "trim, dry run", plan(t, c, "/", readmeUpdate, Trim()).String(), "delete /lb/pools/retail\n")
	equal(t, "trim=False", put(t, c, "/", readmeUpdate, Keep()), "")
	equal(t, "trim, dry run", plan(t, c, "/", readmeUpdate, Trim()).String(), "delete /lb/pools/retail\n")
	put(t, c, "/", readmeUpdate, Trim())
	trimmed := strings.Replace(updated, readmeRetailPool, "", 1)
	equal(t, "trimmed", export(t, c, "/"), trimmed)

	// Recursive deletion.
	if _, err := DeleteAll(ctx, c, "/retail"); err != nil {
		t.Error(err)
	}
	trimmed = strings.Replace(trimmed, readmeRetail, "", 1)
	equal(t, "without retail", export(t, c, "/"), trimmed)
	kept, err := DeleteAll(ctx, c, "/fooservice")
	change(err)
	equal(t, "what stays", kept.String(), `not deleting /fooservice/providers/192.168.0.42:8080 because it's ephemeral
not deleting /fooservice/providers/192.168.0.42:8081 because it's ephemeral
not deleting /fooservice/providers/192.168.0.42:8082 because it's ephemeral
/fooservice/providers not deleted due to ephemeral descendent
/fooservice not deleted due to ephemeral descendent
`)

	// Symbolic links.
	r.resolves("/lb/pools/cms/providers", "/cms/providers")
	cms, err := Register(ctx, c, "/cms/providers", "1.2.3.4:5", map[string]any{"pid": 9999})
	change(err)
	defer cms.Close()
	r.resolves("/lb/pools/cms/providers/1.2.3.4:5", "/cms/providers/1.2.3.4:5")
	mainChildren, mainProperties := Children(ctx, c, "/cms/databases/main"), Properties(ctx, c, "/cms/databases/main")
	defer mainChildren.Close()
	defer mainProperties.Close()
	r.children(mainChildren, "/cms/databases/main", "providers")
	r.properties(mainProperties, "")
	moved := export(t, c, "/cms/databases/main", WithName("cms"))
	equal(t, "with another name", moved, "/cms\n  /providers\n")
	_, err = c.CreateNode(ctx, "/databases", nil)
	change(err)
	put(t, c, "/databases", moved)
	equal(t, "the import", export(t, c, "/databases"), "/databases\n  /cms\n    /providers\n")
	change(Link(ctx, c, "/databases/cms", "/cms/databases/main"))
	d, err := c.Get(ctx, "/cms/databases")
	change(err)
	if target, _ := d.Properties().Get("main ->"); target != "/databases/cms" || d.Properties().Len() != 1 {
		t.Errorf("the link: %s", d)
	}
	_, err = DeleteAll(ctx, c, "/cms/databases/main")
	change(err)
	r.children(mainChildren, "/databases/cms", "providers")
	r.properties(mainProperties, "")
	change(c.Delete(ctx, "/databases/cms/providers"))
	r.children(mainChildren, "/databases/cms")
	change(c.SetProperties(ctx, "/databases/cms", map[string]any{"a": 1}))
	r.properties(mainProperties, "  a = 1\n")

	put(t, c, "/", "    /a\n      /b\n        l -> c\n        l2 -> ../c\n        /c\n      /c\n")
	r.resolves("/a/b/l", "/a/b/c")
	r.resolves("/a/b/l2", "/a/c")
	_, err = DeleteAll(ctx, c, "/a")
	change(err)

	// Property links.
	_, err = c.CreateNode(ctx, "/test-propery-links", nil)
	change(err)
	put(t, c, "/test-propery-links", readmePropertyLink)
	linked := Properties(ctx, c, "/test-propery-links/cms")
	defer linked.Close()
	for _, link := range []string{"/fooservice threads", "/fooservice"} {
		p := next(t, linked)
		threads, err := zkstream.Value[int](p, "threads")
		if text, _ := p.Get("threads =>"); text != link || threads != 3 || err != nil {
			t.Errorf("the property link %v has the value %d, %v", text, threads, err)
		}
		if link != "/fooservice" {
			equal(t, "the import", put(t, c, "/test-propery-links", "/cms\n  threads => /fooservice\n"), `/test-propery-links/cms threads => change from /fooservice threads to /fooservice
/test-propery-links/cms remove property type = z4m cms
extra path not trimmed: /test-propery-links/cms/databases
extra path not trimmed: /test-propery-links/cms/providers
`)
		}
	}
	_, err = DeleteAll(ctx, c, "/test-propery-links")
	change(err)

	// The scripts: what they do is what the calls do.
	equal(t, "zookeeper_export", export(t, c, "/"), `/cms : z4m cms
  threads = 4
  /databases
    main -> /databases/cms
  /providers
/databases
  /cms
    a = 1
`+foo+`/lb : ipvs
  /pools
    /cms
      address = u'1.2.3.4:80'
      providers -> /cms/providers
`)
	put(t, c, "/fooservice", "  /provision\n    /node1\n    /node2\n", Keep())
	equal(t, "zookeeper_import -d", plan(t, c, "/fooservice", "/x\n/y").String(), "add /fooservice/x\nadd /fooservice/y\n")
	equal(t, "zookeeper_import -d", plan(t, c, "/", "/x\n/y").String(), "add /x\nadd /y\n")
	equal(t, "zookeeper_import -dt", plan(t, c, "/fooservice", "/provision\n/y", Trim()).String(),
		"delete /fooservice/provision/node1\ndelete /fooservice/provision/node2\nadd /fooservice/y\n")
	change(c.UpdateProperties(ctx, "/fooservice", map[string]any{"threads": 4, "debug": true, "comment": "ok"}))
	r.properties(data, "  comment = u'ok'\n  debug = True\n  secret = u'1234'\n  threads = 4\n")

	// Iterating over a tree.
	walk := func(path string, leaveOut ...string) string {
		var paths []string
		change(Walk(ctx, c, path, func(d zkstream.Data) error {
			if slices.Contains(leaveOut, d.Path()) {
				return ErrSkipBelow
			}
			if !strings.HasPrefix(d.Path(), "/zookeeper/") { // of which a newer server has more
				paths = append(paths, d.Path())
			}
			return nil
		}))
		return strings.Join(paths, "\n") + "\n"
	}
	equal(t, "the walk", walk("/"), `/
/cms
/cms/databases
/cms/providers
/cms/providers/1.2.3.4:5
/databases
/databases/cms
/fooservice
/fooservice/providers
/fooservice/providers/192.168.0.42:8080
/fooservice/providers/192.168.0.42:8081
/fooservice/providers/192.168.0.42:8082
/fooservice/provision
/fooservice/provision/node1
/fooservice/provision/node2
/lb
/lb/pools
/lb/pools/cms
/zookeeper
`)
	equal(t, "the walk without a child", walk("/fooservice", "/fooservice/providers"), "/fooservice\n/fooservice/provision\n/fooservice/provision/node1\n/fooservice/provision/node2\n")
	var seen []string
	change(Walk(ctx, c, "/fooservice", func(d zkstream.Data) error {
		seen = append(seen, d.Path())
		if d.Path() != "/fooservice" {
			return nil
		}
		_, err := DeleteAll(ctx, c, "/fooservice/provision")
		return err
	}))
	equal(t, "a walk that deletes", strings.Join(seen, "\n"), "/fooservice\n/fooservice/providers\n/fooservice/providers/192.168.0.42:8080\n/fooservice/providers/192.168.0.42:8081\n/fooservice/providers/192.168.0.42:8082")

	// Graph analysis.
	tree := parse(t, readmeUpdate)
	if len(tree.Children) != 2 || tree.Children[0].Name != "cms" || tree.Children[1].Name != "lb" || fmt.Sprint(tree.Children[1].Properties) != "map[type:ipvs]" {
		t.Errorf("the parsed tree:\n%s", tree)
	}

	// Node deletion: the streams go on, and an update fails.
	for _, server := range servers {
		change(server.Close())
	}
	_, err = DeleteAll(ctx, c, "/fooservice")
	change(err)
	for p := next(t, data); p.Exists(); p = next(t, data) {
	}
	for s := next(t, addresses); s.Exists(); s = next(t, addresses) {
	}
	if err := c.UpdateProperties(ctx, "/fooservice", map[string]any{"x": 1}); err == nil {
		t.Error("an update of a node that is gone: no error")
	}
	if _, err := Register(ctx, c, "/fooservice/providers", "1.2.3.4:5", nil); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("a server of a service that is gone: %v", err)
	}
}
