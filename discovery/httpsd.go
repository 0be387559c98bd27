package discovery

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/zkstream/zkstream"
)

// NewHTTPSD returns a handler for Prometheus' http_sd_configs, which answers with the endpoints of the newest
// snapshots of all services. It takes no snapshot out of their channels. Before each has had its first,
// or after one of them has ended, it answers with status 503, upon which Prometheus keeps the targets that it has.
//
// Each endpoint is a target, whatever its status, with the labels
//
//	__meta_zookeeper_path              of the service
//	__meta_zookeeper_name              of the node
//	__meta_zookeeper_status            UP, for example
//	__meta_zookeeper_weight
//	__meta_zookeeper_attribute_<name>  for each attribute
//
// In names of attributes, what may not stand in a label's name is "_". If two become the same, the one that sorts
// last is used. A relabelling rule that keeps those whose __meta_zookeeper_status is UP leaves out the others.
func NewHTTPSD(services ...*zkstream.Stream[Endpoints]) http.Handler {
	services = slices.Clone(services)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		groups := []targetGroup{} // not nil: [] is the answer where there are none
		for _, s := range services {
			newest, ok := s.Latest()
			if err := s.Err(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			if !ok {
				http.Error(w, "the service has not been read yet", http.StatusServiceUnavailable)
				return
			}
			for e := range newest.All() {
				groups = append(groups, targetGroup{Targets: []string{e.Addr}, Labels: labels(newest.Path(), e)})
			}
		}
		content, err := json.Marshal(groups)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
	})
}

type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func labels(path string, e Endpoint) map[string]string {
	const prefix = "__meta_zookeeper_"
	all := map[string]string{
		prefix + "path": path, prefix + "name": e.Name,
		prefix + "status": string(cmp.Or(e.Status, Up)), prefix + "weight": strconv.Itoa(e.Weight),
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		all[prefix+"attribute_"+labelName(name)] = e.Attributes[name]
	}
	return all
}

// labelName replaces what a label's name may not have; it follows a prefix, so it may begin with a digit.
func labelName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			b[i] = '_'
		}
	}
	return string(b)
}
