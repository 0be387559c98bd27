package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"golang.org/x/sync/errgroup"
)

const (
	perPage     = 100 // children on a page
	mostOnPage  = 1000
	readLimit   = 5 * time.Second // for a request to ZooKeeper that the page waits for
	readsAtOnce = 16
)

// A row is a node as the tree shows it.
type row struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Children int    `json:"children"`
	Size     int    `json:"size"`
	Version  int32  `json:"version"`
	Mtime    int64  `json:"mtime"` // milliseconds since 1970, as the server has it
	ownership
	Denied bool `json:"denied,omitempty"` // it may not be read
}

// ownership says what makes a node go by itself, if something does.
type ownership struct {
	Owner     string `json:"owner,omitempty"`     // ephemeral: the session's ID
	Container bool   `json:"container,omitempty"` // goes when it has had children, and has no more
	TTL       int64  `json:"ttl,omitempty"`       // goes without children when it has not changed for so many milliseconds
}

// newOwnership tells from a node's EphemeralOwner what it is, as ZooKeeper's EphemeralType does.
func newOwnership(owner int64) (o ownership) {
	const ttl = 0xff // in the first byte; the last five are the time
	switch {
	case owner == 0:
	case owner == math.MinInt64:
		o.Container = true
	case uint64(owner)>>56 == ttl:
		o.TTL = owner & (1<<40 - 1)
	default:
		o.Owner = hex(owner)
	}
	return o
}

func hex(n int64) string { return fmt.Sprintf("0x%x", uint64(n)) }

func newRow(d zkstream.Data, children int) *row {
	stat := d.Stat()
	return &row{
		Name: path.Base(d.Path()), Path: d.Path(), Children: children, Size: int(stat.DataLength), Version: stat.Version, Mtime: stat.Mtime,
		ownership: newOwnership(stat.EphemeralOwner), Denied: d.Err() != nil,
	}
}

// childrenJSON is a page of the children of a node.
type childrenJSON struct {
	Seq    uint64 `json:"seq"` // of the state that it shows
	Exists bool   `json:"exists"`
	Total  int    `json:"total"`
	From   int    `json:"from"`
	Node   *row   `json:"node"` // whose children they are
	Rows   []*row `json:"rows"`
}

// children says what is on one page of the children of a node: that which begins with a child's place, from, or that on which the child
// called at is.
func (s *Server) children(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	path, err := s.pathOf(q.Get("path"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	from, limit := number(q, "from", 0), min(max(1, number(q, "limit", perPage)), mostOnPage)
	now, _ := s.live.get()
	if !now.ready {
		page, err := s.readPage(r.Context(), path, q.Get("at"), from, limit)
		answer(w, page, err)
		return
	}
	page := childrenJSON{Seq: now.seq, Rows: []*row{}}
	d, exists := now.tree.Get(path)
	names := now.tree.Children(path)
	page.Exists, page.Total, page.Node = exists, len(names), newRow(d, len(names))
	page.From, names = cut(names, place(names, q.Get("at"), from, limit), limit)
	for _, name := range names {
		d, _ := now.tree.Get(join(path, name))
		page.Rows = append(page.Rows, newRow(d, len(now.tree.Children(d.Path()))))
	}
	answer(w, page, nil)
}

// readPage reads a page of children from ZooKeeper, while the tree is still being read.
func (s *Server) readPage(ctx context.Context, path, at string, from, limit int) (page childrenJSON, err error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	if page.Node, page.Exists, err = s.read(ctx, path); err != nil {
		return page, err
	}
	list, err := s.client.List(ctx, path)
	if err != nil && !errors.Is(err, zk.ErrNoAuth) {
		return page, err
	}
	page.Total = list.Len()
	names := list.Names()
	page.From, names = cut(names, place(names, at, from, limit), limit)
	page.Rows = make([]*row, len(names))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsAtOnce)
	for i, name := range names {
		reads.Go(func() (err error) {
			page.Rows[i], _, err = s.read(ctx, join(path, name))
			return err
		})
	}
	return page, reads.Wait()
}

// read reads a node, which may be one that may not be read.
func (s *Server) read(ctx context.Context, at string) (r *row, exists bool, err error) {
	d, err := s.client.Get(ctx, at)
	if errors.Is(err, zk.ErrNoAuth) {
		return &row{Name: path.Base(at), Path: at, Denied: true}, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	return newRow(d, int(d.Stat().NumChildren)), d.Exists(), nil
}

// place returns where the page begins on which the name at is, or from if it is not there.
func place(names []string, at string, from, limit int) int {
	if i, found := slices.BinarySearch(names, at); found {
		return i / limit * limit
	}
	return from
}

// cut returns the part of names that is on a page which begins with from, or with the last page's first if that is past the end.
func cut(names []string, from, limit int) (int, []string) {
	if from >= len(names) && from > 0 {
		from = max(0, (len(names)-1)/limit*limit)
	}
	return from, names[from:min(from+limit, len(names))]
}

func join(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}

// errRequest is inside the error of a request that the page itself would not send.
var errRequest = errors.New("bad request")

// pathOf returns the path that is asked for, "" being the root of the tree. Others than those of the tree are an error.
func (s *Server) pathOf(asked string) (string, error) {
	root := s.options.Root
	switch {
	case asked == "":
		return root, nil
	case root == "/" && strings.HasPrefix(asked, "/"), asked == root, strings.HasPrefix(asked, root+"/"):
		return asked, nil
	}
	return "", fmt.Errorf("%q is not below %q: %w", asked, root, errRequest)
}

// number returns a number of a query that is not negative, or what it is without one.
func number(q url.Values, key string, without int) int {
	if n, err := strconv.Atoi(q.Get(key)); err == nil && n >= 0 {
		return n
	}
	return without
}

// answer writes v as JSON, or an error.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(status(err))
		v = map[string]string{"error": err.Error()}
	}
	json.NewEncoder(w).Encode(v)
}

// status returns the HTTP status that says what an error does.
func status(err error) int {
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return http.StatusNotFound
	case errors.Is(err, zk.ErrNoAuth):
		return http.StatusForbidden
	case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNodeExists), errors.Is(err, zk.ErrNotEmpty):
		return http.StatusConflict
	case errors.Is(err, zk.ErrInvalidPath), errors.Is(err, zk.ErrBadArguments), errors.Is(err, errRequest):
		return http.StatusBadRequest
	case errors.Is(err, zkstream.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusServiceUnavailable
}
