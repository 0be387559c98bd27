package ui

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// mostShown is how many bytes of a node's content the page shows. All of it can be downloaded.
const mostShown = 1 << 20

// nodeJSON is all that is known of one node.
type nodeJSON struct {
	*row
	Exists   bool      `json:"exists"`
	Data     []byte    `json:"data"` // the first mostShown bytes, as base64
	Cut      bool      `json:"cut,omitempty"`
	Czxid    string    `json:"czxid"`
	Mzxid    string    `json:"mzxid"`
	Pzxid    string    `json:"pzxid"`
	Ctime    int64     `json:"ctime"`
	Cversion int32     `json:"cversion"`
	Aversion int32     `json:"aversion"`
	ACL      []aclJSON `json:"acl"`
	ACLError string    `json:"aclError,omitempty"`
	Old      string    `json:"old,omitempty"` // why this is not fresh from the server
}

type aclJSON struct {
	Scheme string `json:"scheme"`
	ID     string `json:"id"`
	Perms  string `json:"perms"`
}

// node says all of one node. It asks the server, since the metadata that the tree has are those of when the content was read. When
// that cannot be had, it says what the tree has.
func (s *Server) node(w http.ResponseWriter, r *http.Request) {
	path, err := s.pathOf(r.URL.Query().Get("path"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	n, err := s.describe(ctx, path)
	answer(w, n, err)
}

func (s *Server) describe(ctx context.Context, path string) (nodeJSON, error) {
	now, _ := s.live.get()
	d, found := now.tree.Get(path)
	var old string // why d is not fresh
	if found && now.session.State != zkstream.Connected {
		old = "no server answers"
	} else if fresh, err := s.client.Get(ctx, path); err == nil {
		d = fresh
	} else if errors.Is(err, zk.ErrNoAuth) {
		return nodeJSON{row: &row{Name: baseName(path), Path: path, Denied: true}, Exists: true}, nil
	} else if found {
		old = err.Error()
	} else {
		return nodeJSON{}, err
	}
	stat, children := d.Stat(), int(d.Stat().NumChildren)
	if old != "" {
		children = len(now.tree.Children(path))
	}
	n := nodeJSON{
		row: newRow(d, children), Exists: d.Exists(), Data: d.Bytes(), Old: old,
		Czxid: hex(stat.Czxid), Mzxid: hex(stat.Mzxid), Pzxid: hex(stat.Pzxid), Ctime: stat.Ctime, Cversion: stat.Cversion, Aversion: stat.Aversion,
	}
	if len(n.Data) > mostShown {
		n.Data, n.Cut = n.Data[:mostShown], true
	}
	if !n.Exists || old != "" {
		return n, nil
	}
	acl, _, err := s.client.ACL(ctx, path)
	if err != nil {
		n.ACLError = err.Error()
	}
	for _, a := range acl {
		n.ACL = append(n.ACL, newACL(a))
	}
	return n, nil
}

// newACL describes an entry of an access control list. The hash of a digest's password stays here: it can be guessed at.
func newACL(a zk.ACL) aclJSON {
	perms := ""
	for i, letter := range "rwcda" {
		if a.Perms&(1<<i) != 0 {
			perms += string(letter)
		}
	}
	id := a.ID
	if user, _, found := strings.Cut(id, ":"); found && a.Scheme == "digest" {
		id = user
	}
	return aclJSON{a.Scheme, id, perms}
}

// content sends the content of a node as a file.
func (s *Server) content(w http.ResponseWriter, r *http.Request) {
	path, err := s.pathOf(r.URL.Query().Get("path"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	d, err := s.client.Get(ctx, path)
	if err == nil && !d.Exists() {
		err = fmt.Errorf("%q: %w", path, zk.ErrNoNode)
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": baseName(path)}))
	w.Write(d.Bytes())
}

func baseName(at string) string { return path.Base(at) }

// foundJSON is what a search has found.
type foundJSON struct {
	Seq   uint64 `json:"seq"`
	Total int    `json:"total"`
	Rows  []*row `json:"rows"` // of the first
}

// mostFound is how many nodes that were found are listed.
const mostFound = 200

// search finds nodes by a part of their path, in upper or lower case, or by the session that owns them: "0x1000...".
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	q := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("q")))
	now, _ := s.live.get()
	found := foundJSON{Seq: now.seq, Rows: []*row{}}
	if q == "" {
		answer(w, found, nil)
		return
	}
	bySession := strings.HasPrefix(q, "0x")
	for d := range now.tree.All() {
		hit := strings.Contains(strings.ToLower(d.Path()), q)
		if owner := d.Stat().EphemeralOwner; bySession && owner != 0 {
			hit = hit || newOwnership(owner).Owner == q
		}
		if !hit {
			continue
		}
		if found.Total++; found.Total <= mostFound {
			found.Rows = append(found.Rows, newRow(d, len(now.tree.Children(d.Path()))))
		}
	}
	answer(w, found, nil)
}
