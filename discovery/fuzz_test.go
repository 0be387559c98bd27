package discovery_test

import (
	"maps"
	"testing"
	"unicode/utf8"

	. "github.com/zkstream/zkstream/discovery"
)

// Whatever a node holds, it is an error or an endpoint that can be dialled; and what its format writes for that endpoint
// is the same endpoint.
func FuzzDecode(f *testing.F) {
	for _, c := range golden {
		f.Add(c.node, []byte(c.content))
	}
	formats := []Format{ZC{}, Curator{}, Serverset{}, Serverset{Endpoint: "http"}, Nerve{}, Nerve{PathEncoding: true}}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		for _, format := range formats {
			e, err := format.Decode(name, content)
			if err != nil {
				continue
			}
			if e.Name != name || e.Addr == "" || e.Weight < 0 || e.Status == "" || e.Raw == nil {
				t.Fatalf("%+v %q %q: %+v", format, name, content, e)
			}
			_, hasPID := e.Attributes["pid"]
			node, err := format.Encode("/s", e)
			if err != nil {
				if utf8.ValidString(name) && utf8.Valid(content) {
					t.Errorf("%+v %q %q: %v", format, name, content, err)
				}
				continue
			}
			again, err := format.Decode(node.Name, node.Content)
			if _, ok := again.Attributes["pid"]; ok && !hasPID {
				delete(again.Attributes, "pid")
			}
			if err != nil || again.Addr != e.Addr || again.Weight != e.Weight || again.Status != e.Status || !maps.Equal(again.Attributes, e.Attributes) {
				if utf8.ValidString(name) && utf8.Valid(content) {
					t.Errorf("%+v %q %q: %+v\nwritten as %q %q: %+v, %v", format, name, content, e, node.Name, node.Content, again, err)
				}
			}
		}
	})
}
