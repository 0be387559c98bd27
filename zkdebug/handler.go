package zkdebug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/zkstream/zkstream"
)

// Handler returns a handler for what client does, without what has happened before: that is what a [Recorder] is for.
func Handler(client *zkstream.Client) http.Handler { return (*Recorder)(nil).Handler(client) }

type handler struct {
	client   *zkstream.Client
	recorder *Recorder // or nil
}

// A report is what there is to show; its JSON is described in the package's documentation.
type report struct {
	Time          time.Time      `json:"time"`
	Session       session        `json:"session"`
	Stats         zkstream.Stats `json:"stats"`
	Watches       []watch        `json:"watches"`
	Registrations []registration `json:"registrations"`
	Servers       []server       `json:"servers"`
	Events        []event        `json:"events"`
	Calls         []call         `json:"calls"`
	Failed        []call         `json:"failed"`
}

type session struct {
	State   string     `json:"state"`
	ID      string     `json:"id"`
	Server  string     `json:"server"`
	Timeout float64    `json:"timeout"`
	Since   *time.Time `json:"since"`
}

type watch struct {
	Path    string  `json:"path"`
	Kind    string  `json:"kind"`
	State   string  `json:"state"`
	Nodes   int     `json:"nodes"`
	Zxid    string  `json:"zxid"`
	Streams int     `json:"streams"`
	Behind  int     `json:"behind"`
	Lag     int     `json:"lag"`
	Waiting float64 `json:"waiting"`
}

type registration struct {
	Path   string `json:"path"`
	Addr   string `json:"addr"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// report looks at the client. Of watches and registrations it has those in whose path q is.
func (h *handler) report(r *http.Request, q string) report {
	rec := h.recorder.record()
	rep := report{
		Time: time.Now(), Stats: h.client.Stats(),
		Watches: []watch{}, Registrations: []registration{},
		Servers: orEmpty(rec.servers), Events: orEmpty(rec.events), Calls: orEmpty(rec.calls), Failed: orEmpty(rec.failed),
	}
	sessions := h.client.Session(r.Context())
	now, known := sessions.Latest()
	sessions.Close()
	if !known {
		now.State = rep.Stats.State
	}
	rep.Session = session{State: now.State.String(), ID: hex(now.ID), Server: now.Server, Timeout: now.Timeout.Seconds(), Since: rec.since}
	for _, w := range h.client.Watches() {
		if strings.Contains(w.Path, q) {
			rep.Watches = append(rep.Watches, watch{Path: w.Path, Kind: w.Kind, State: w.State, Nodes: w.Nodes, Zxid: hex(w.Zxid),
				Streams: w.Streams, Behind: w.Behind, Lag: w.Lag, Waiting: w.Waiting.Seconds()})
		}
	}
	for _, r := range h.client.Registrations() {
		if strings.Contains(r.Path, q) {
			rep.Registrations = append(rep.Registrations, registration{r.Path, r.Addr, r.Status.String(), message(r.Err)})
		}
	}
	return rep
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Content-Security-Policy", policy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "zkdebug: only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	asked := r.URL.Query()
	rep := h.report(r, asked.Get("q"))
	var body bytes.Buffer // so that an error is a status, not half a page
	var err error
	if asked.Get("format") == "json" {
		head.Set("Content-Type", "application/json")
		err = json.NewEncoder(&body).Encode(rep)
	} else {
		head.Set("Content-Type", "text/html; charset=utf-8")
		err = page.Execute(&body, h.view(rep, asked))
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("zkdebug: %v", err), http.StatusInternalServerError)
		return
	}
	w.Write(body.Bytes())
}

func hex(n int64) string { return fmt.Sprintf("0x%x", uint64(n)) }

// orEmpty returns a list that is [] in JSON where s is nil.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
