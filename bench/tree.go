package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// tree is the writing client: its own connection, in this process, and the nodes that it works on. Each
// change puts a higher number, the tag, into the nodes.
type tree struct {
	conn    *zk.Conn
	servers string
	tag     int64
	made    int // nodes
	asked   int // words sent by received, which the servers count, too
	planted map[string]leaves
}

const (
	root       = "/zkstream-bench"
	nodeFormat = root + "/nodes/%08d" // 30 bytes
	batch      = 500                  // operations in a transaction
)

func plant(servers string) (*tree, error) {
	conn, err := connect(servers, 30*time.Second)
	if err != nil {
		return nil, err
	}
	t := &tree{conn: conn, servers: servers, tag: 1_000_000_000, planted: map[string]leaves{}}
	if err := t.clear(root); err != nil {
		return nil, err
	}
	for _, path := range []string{root, root + "/nodes", root + "/one"} {
		if err := t.create(path, ""); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// fell removes all nodes and closes the connection.
func (t *tree) fell() error {
	err := t.uproot()
	if err == nil {
		err = t.clear(root)
	}
	t.conn.Close()
	return err
}

func (t *tree) create(path, data string) error {
	_, err := t.conn.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll))
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// clear deletes a node and all below it, if it is there.
func (t *tree) clear(path string) error {
	names, _, err := t.conn.Children(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	if path == root+"/nodes" { // of which there are many, and all are leaves
		return t.batches(len(names), func(i int) any {
			return &zk.DeleteRequest{Path: path + "/" + names[i], Version: -1}
		}, &zk.DeleteRequest{Path: path, Version: -1})
	}
	for _, name := range names {
		if err := t.clear(path + "/" + name); err != nil {
			return err
		}
	}
	return t.conn.Delete(path, -1)
}

// batches carries out n operations, and then some more, in large transactions.
func (t *tree) batches(n int, op func(i int) any, more ...any) error {
	for first := 0; first < n; first += batch {
		var ops []any
		for i := first; i < min(first+batch, n); i++ {
			ops = append(ops, op(i))
		}
		if _, err := t.conn.Multi(ops...); err != nil {
			return err
		}
	}
	if len(more) == 0 {
		return nil
	}
	_, err := t.conn.Multi(more...)
	return err
}

// grow has at least n nodes exist.
func (t *tree) grow(n int) error {
	err := t.batches(n-t.made, func(i int) any {
		return &zk.CreateRequest{Path: fmt.Sprintf(nodeFormat, t.made+i), Data: []byte("0"), Acl: zk.WorldACL(zk.PermAll)}
	})
	t.made = max(t.made, n)
	return err
}

// fill puts one new tag into n nodes, as fast as it can.
func (t *tree) fill(first, n int) (tag int64, err error) {
	t.tag++
	data := []byte(strconv.FormatInt(t.tag, 10))
	return t.tag, t.batches(n, func(i int) any {
		return &zk.SetDataRequest{Path: fmt.Sprintf(nodeFormat, first+i), Data: data, Version: -1}
	})
}

// storm changes n nodes, each by a request of its own. It returns when the first was sent and when the
// last was answered.
func (t *tree) storm(first, n int) (tag, begin, end int64, err error) {
	t.tag++
	data := []byte(strconv.FormatInt(t.tag, 10))
	begin = time.Now().UnixNano()
	err = parallel(n, func(i int) error {
		_, err := t.conn.Set(fmt.Sprintf(nodeFormat, first+i), data, -1)
		return err
	})
	return t.tag, begin, time.Now().UnixNano(), err
}

// single is one node that many watch, changed in a way that its watchers notice.
type single struct {
	*tree
	kind, path string
	current    int64  // the tag that it has
	last       string // the present child, of kind children
	filler     string // the rest of the content, of kind properties
}

func (t *tree) single(kind, name string) (*single, error) {
	s := &single{tree: t, kind: kind, path: root + "/one/" + name}
	if kind == "properties" {
		s.filler = document(100_000)
	}
	if err := t.clear(s.path); err != nil {
		return nil, err
	}
	if err := t.create(s.path, ""); err != nil {
		return nil, err
	}
	_, _, err := s.change()
	return s, err
}

// change writes a new tag, and returns when it began to.
func (s *single) change() (tag, begin int64, err error) {
	s.tag++
	s.current = s.tag
	text := strconv.FormatInt(s.tag, 10)
	switch s.kind {
	case "children": // one comes as the other goes
		ops := []any{&zk.CreateRequest{Path: s.path + "/" + text, Data: []byte(text), Acl: zk.WorldACL(zk.PermAll)}}
		if s.last != "" {
			ops = append(ops, &zk.DeleteRequest{Path: s.path + "/" + s.last, Version: -1})
		}
		s.last = text
		begin = time.Now().UnixNano()
		_, err = s.conn.Multi(ops...)
	case "properties":
		content := []byte(`{"tag": ` + text + s.filler)
		begin = time.Now().UnixNano()
		_, err = s.conn.Set(s.path, content, -1)
	default:
		begin = time.Now().UnixNano()
		_, err = s.conn.Set(s.path, []byte(text), -1)
	}
	return s.current, begin, err
}

// document is the end of a JSON object of about that size, with a thousand members.
func document(size int) string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `, "property-%03d": "%s"`, i, strings.Repeat("x", size/1000-20))
	}
	return b.String() + "}"
}

// Four-letter words: what the servers say of themselves.

var (
	receivedLine = regexp.MustCompile(`(?m)^Received: (\d+)`)
	versionLine  = regexp.MustCompile(`(?m)^Zookeeper version: ([\d.]+)`)
	watchesLine  = regexp.MustCompile(`(?m)^zk_watch_count\s+(\d+)`)
)

// received returns how many packets the servers have had from all clients, without its own.
func (t *tree) received() (int, error) {
	total := 0
	for server := range strings.SplitSeq(t.servers, ",") {
		n, err := ask(server, "srvr", receivedLine)
		if err != nil {
			return 0, err
		}
		t.asked++
		total += n
	}
	return total - t.asked, nil
}

// watches returns how many watches are set, on children, too, which wchs leaves out. Servers that are not of
// this program may refuse to say.
func (t *tree) watches() (int, error) {
	total := 0
	for server := range strings.SplitSeq(t.servers, ",") {
		n, err := ask(server, "mntr", watchesLine)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func ask(server, word string, line *regexp.Regexp) (int, error) {
	text, err := fourLetters(server, word)
	if err != nil {
		return 0, err
	}
	found := line.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s of %s: %q", word, server, text)
	}
	return strconv.Atoi(found[1])
}

func fourLetters(server, word string) (string, error) {
	conn, err := net.DialTimeout("tcp", server, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}
