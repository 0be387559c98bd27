package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/zkstream/zkstream"
)

// mostWritten is the size in bytes of the largest request to change something, of which base64 is a third.
const mostWritten = 2 << 20

// writeLimit is how long the page waits for a change to be carried out.
const writeLimit = 15 * time.Second

// A change is what the page asks for.
type change struct {
	Path       string `json:"path"`
	Data       []byte `json:"data"`       // as base64
	Version    *int32 `json:"version"`    // that the node is to have
	Sequential bool   `json:"sequential"` // the server appends a number to the name
}

// write carries out what is asked for.
func (s *Server) write(do func(context.Context, change) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), writeLimit)
		defer cancel()
		var c change
		var done any
		err := s.decode(w, r, &c)
		if err == nil {
			done, err = do(ctx, c)
		}
		answer(w, done, err)
	}
}

func (s *Server) decode(w http.ResponseWriter, r *http.Request, c *change) error {
	// A form of another page cannot have this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fmt.Errorf("the type of the request is not application/json: %w", errRequest)
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostWritten))
	body.DisallowUnknownFields()
	if err := body.Decode(c); err != nil {
		return fmt.Errorf("%w: %w", err, errRequest)
	}
	if c.Path == "" {
		return fmt.Errorf("no path: %w", errRequest)
	}
	_, err := s.pathOf(c.Path)
	return err
}

// versioned returns the version that a change is of. The page names what it shows, so that nobody overwrites what he has not seen.
func (c change) versioned() (int32, error) {
	if c.Version == nil || *c.Version < 0 {
		return 0, fmt.Errorf("no version: %w", errRequest)
	}
	return *c.Version, nil
}

// written is the answer to a change that was carried out.
type written struct {
	Path    string `json:"path"`
	Version int32  `json:"version"` // that the node has now
}

// set replaces the content of a node.
func (s *Server) set(ctx context.Context, c change) (any, error) {
	version, err := c.versioned()
	if err != nil {
		return nil, err
	}
	stat, err := s.client.Write(ctx, c.Path, c.Data, version)
	return written{c.Path, stat.Version}, err
}

// create makes a node that stays.
func (s *Server) create(ctx context.Context, c change) (any, error) {
	var opts []zkstream.CreateOption
	if c.Sequential {
		opts = append(opts, zkstream.Sequential())
	}
	path, err := s.client.CreateNode(ctx, c.Path, c.Data, opts...)
	return written{Path: path}, err
}

// delete deletes a node without children.
func (s *Server) delete(ctx context.Context, c change) (any, error) {
	version, err := c.versioned()
	if err != nil {
		return nil, err
	}
	return written{Path: c.Path}, s.client.DeleteNode(ctx, c.Path, version)
}
