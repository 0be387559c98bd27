// Package ui is the page of "zkstream ui": the live tree of a ZooKeeper in a browser.
//
// The tree is one stream of the client's ([zkstream.Client.Tree]). Each browser has one stream of server-sent events, on which it
// learns of changes, and asks for what it shows: a page of a node's children, the content of one node. So the server keeps
// nothing for a browser but the snapshot that it has told it of last; a slow one skips to the newest.
//
// The page needs no network but this server, and no script of others. What nodes are called and have in them is
// hostile until proven otherwise: it gets into the page as text only, and a policy (CSP) forbids what is not the page's own.
package ui

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"github.com/zkstream/zkstream"
)

//go:embed static
var static embed.FS

// Options are what a Server is to do.
type Options struct {
	Root     string   // the path from which on the tree is shown
	MaxNodes int      // of the tree; 0: the library's limit
	Write    bool     // nodes may be changed
	Hosts    []string // by which names, besides localhost and this machine's, the page may be asked for; without port
}

// A Server is the page, for one client.
type Server struct {
	client  *zkstream.Client
	options Options
	live    live
	open    chan struct{} // has an element for each stream of events
	handler http.Handler
}

// mostStreams is how many streams of events there are at most: how many tabs look at the page.
const mostStreams = 100

// New returns the page. Run keeps it up to date.
func New(client *zkstream.Client, options Options) *Server {
	s := &Server{client: client, options: options, open: make(chan struct{}, mostStreams)}
	s.live.changed = make(chan struct{})
	files, err := fs.Sub(static, "static")
	if err != nil { // the folder is embedded
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("GET /api/children", s.children)
	mux.HandleFunc("GET /api/node", s.node)
	mux.HandleFunc("GET /api/content", s.content)
	mux.HandleFunc("GET /api/search", s.search)
	if options.Write {
		mux.HandleFunc("POST /api/set", s.write(s.set))
		mux.HandleFunc("POST /api/create", s.write(s.create))
		mux.HandleFunc("POST /api/delete", s.write(s.delete))
	}
	s.handler = guard(mux, options.Hosts)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run follows the tree and the session until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var opts []zkstream.TreeOption
	if s.options.MaxNodes > 0 {
		opts = append(opts, zkstream.WithMaxNodes(s.options.MaxNodes))
	}
	s.live.follow(ctx, s.client.Session(ctx), s.client.Tree(ctx, s.options.Root, opts...))
}
