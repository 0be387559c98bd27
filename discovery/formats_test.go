package discovery_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	. "github.com/zkstream/zkstream/discovery"
)

type attributes = map[string]string

const (
	springText = `{"name":"search","id":"f89497d9","address":"10.0.0.5","port":8080,"sslPort":null,` +
		`"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"application-1","name":"search",` +
		`"metadata":{"instance_status":"UP"}},"registrationTimeUTC":1654331328914,"serviceType":"DYNAMIC","uriSpec":{"parts":[` +
		`{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},` +
		`{"value":":","variable":false},{"value":"port","variable":true}]}}`
	dubboText = `{"name":"demo","id":"10.0.0.5:20880","address":"10.0.0.5","port":20880,"sslPort":null,` +
		`"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"10.0.0.5:20880","name":"demo",` +
		`"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"}]","dubbo.metadata.revision":"a1b2",` +
		`"dubbo.metadata.storage-type":"local","timestamp":"1654331328914"}},` +
		`"registrationTimeUTC":1654331328914,"serviceType":"DYNAMIC","uriSpec":null}`
	plainText = `{"name":"search","id":"i-1","address":"10.0.0.5","port":8080,"sslPort":null,"payload":null,` +
		`"registrationTimeUTC":1654331328914,"serviceType":"DYNAMIC","uriSpec":null}`
	serversetText = `{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{"http":{"host":"foo","port":8080}},` +
		`"status":"ALIVE","shard":42}`
	nerveText = `{"host":"1.2.3.4","port":3000,"name":"i-1"}`
)

// golden are texts as the other libraries write them, the endpoints that they are, and the nodes that these are again.
var golden = []struct {
	title, node, content string
	format               Format
	want                 Endpoint // but for Raw
	again                string   // the name of the node encoded from it, if not node
}{
	{"properties", "10.0.0.5:8080", `{"pid":42,"threads":[1,2],"weight":3,"zone":"a & b"}`, ZC{}, Endpoint{
		Addr: "10.0.0.5:8080", Weight: 3, Status: Up, Attributes: attributes{"pid": "42", "threads": "[1,2]", "zone": "a & b"}}, ""},
	{"IPv6", "[::1]:80", `{"inf":-Infinity,"pid":1,"up":true,"weight":1.5}`, ZC{}, Endpoint{
		Addr: "[::1]:80", Weight: 1, Status: Up, Attributes: attributes{"pid": "1", "up": "true", "inf": "-Infinity", "weight": "1.5"}}, ""},
	{"Curator", "i-1", plainText, Curator{}, Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up}, ""},
	{"Curator under another name than its id", "other", plainText, Curator{}, Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up}, ""},
	{"Curator, not enabled", "i-1", strings.TrimSuffix(plainText, "}") + `,"enabled":false}`, Curator{}, Endpoint{
		Addr: "10.0.0.5:8080", Weight: 1, Status: OutOfService}, ""},
	{"Curator with TLS only", "i-1", strings.ReplaceAll(plainText, `"port":8080,"sslPort":null`, `"port":null,"sslPort":8443`), Curator{},
		Endpoint{Addr: "10.0.0.5:8443", Weight: 1, Status: Up}, ""},
	{"Curator with both ports", "i-1", strings.ReplaceAll(plainText, `"sslPort":null`, `"sslPort":8443`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up}, ""},
	{"Curator with a map", "i-1", strings.ReplaceAll(plainText, `"payload":null`, `"payload":{"@class":"java.util.HashMap","n":1,"weight":"7","zone":"<a>"}`),
		Curator{}, Endpoint{Addr: "10.0.0.5:8080", Weight: 7, Status: Up, Attributes: attributes{"n": "1", "zone": "<a>"}}, ""},
	{"Curator with a text", "i-1", strings.ReplaceAll(plainText, `"payload":null`, `"payload":"<a>"`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up}, ""},
	{"Curator with a list", "i-1", strings.ReplaceAll(plainText, `"payload":null`, `"payload":["java.util.ArrayList",["a"]]`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up}, ""},
	{"Curator with a class of its own", "i-1", strings.ReplaceAll(plainText, `"payload":null`, `"payload":{"@class":"com.example.P","metadata":{"a":1}}`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up, Attributes: attributes{"metadata": `{"a":1}`}}, ""},
	{"Spring", "f89497d9", springText, Curator{}, Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up, Attributes: attributes{}}, ""},
	{"Spring, out of service", "f89497d9", strings.ReplaceAll(springText, `"UP"`, `"OUT_OF_SERVICE","weight":"5","zone":"a"`), Curator{Payload: SpringPayload},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 5, Status: OutOfService, Attributes: attributes{"zone": "a"}}, ""},
	{"Spring, status in lower case", "f89497d9", strings.ReplaceAll(springText, `"UP"`, `"up"`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up, Attributes: attributes{}}, ""},
	{"Spring, status blank", "f89497d9", strings.ReplaceAll(springText, `"UP"`, `" "`), Curator{},
		Endpoint{Addr: "10.0.0.5:8080", Weight: 1, Status: Up, Attributes: attributes{}}, ""},
	{"Spring with TLS", "f89497d9", strings.ReplaceAll(springText, `"sslPort":null`, `"sslPort":8443`), Curator{},
		Endpoint{Addr: "10.0.0.5:8443", Weight: 1, Status: Up, Attributes: attributes{}}, ""},
	{"Dubbo", "10.0.0.5:20880", dubboText, Curator{}, Endpoint{Addr: "10.0.0.5:20880", Weight: 1, Status: Up, Attributes: attributes{
		"dubbo.endpoints": `[{"port":20880,"protocol":"dubbo"}]`, "dubbo.metadata.revision": "a1b2",
		"dubbo.metadata.storage-type": "local", "timestamp": "1654331328914"}}, ""},
	{"serverset", "member_0000000007", serversetText, Serverset{}, Endpoint{Addr: "foo:1000", Weight: 1, Status: Up}, "member_"},
	{"serverset, an additional endpoint", "member_0000000007", serversetText, Serverset{Endpoint: "http"},
		Endpoint{Addr: "foo:8080", Weight: 1, Status: Up}, "member_"},
	{"serverset, least", "member_0000000007", `{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{},"status":"WARNING"}`,
		Serverset{}, Endpoint{Addr: "foo:1000", Weight: 1, Status: Warning}, "member_"},
	{"serverset of Finagle and Python", "member_0000000007", `{"serviceEndpoint":{"host":"foo","port":1000,"inet":"10.0.0.5","inet6":"::1"},` +
		`"additionalEndpoints":{},"status":"STARTING","shard":0,"member_id":7,"metadata":{"zone":"a"}}`,
		Serverset{}, Endpoint{Addr: "foo:1000", Weight: 1, Status: Starting, Attributes: attributes{"zone": "a"}}, "member_"},
	{"Nerve", "i-1_0000000003", nerveText, Nerve{}, Endpoint{Addr: "1.2.3.4:3000", Weight: 1, Status: Up}, "i-1_"},
	{"Nerve with all", "i-1_0000000003", `{"host":"::1","port":3000,"name":"i-1","weight":0,"haproxy_server_options":"cookie a","labels":{"az":"us-east-1a"}}`,
		Nerve{}, Endpoint{Addr: "[::1]:3000", Weight: 0, Status: Up, Attributes: attributes{"az": "us-east-1a"}}, "i-1_"},
	{"Nerve in the name", "base64_60_eyJob3N0IjoiMS4yLjMuNCIsInBvcnQiOjMwMDAsIm5hbWUiOiJpLTEifQ==_0000000003", nerveText, Nerve{PathEncoding: true},
		Endpoint{Addr: "1.2.3.4:3000", Weight: 1, Status: Up}, "base64_60_eyJob3N0IjoiMS4yLjMuNCIsInBvcnQiOjMwMDAsIm5hbWUiOiJpLTEifQ==_"},
}

func TestTextsOfOtherLibrariesInBothDirections(t *testing.T) {
	for _, c := range golden {
		t.Run(c.title, func(t *testing.T) {
			got, err := c.format.Decode(c.node, []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			node, err := c.format.Encode("/services/search", got)
			if c.again == "" {
				c.again = c.node
			}
			if err != nil || string(node.Content) != c.content || node.Name != c.again {
				t.Errorf("encoded again it is %s\n%s, %v\nnot %s", node.Name, node.Content, err, c.content)
			}
			got.Raw, c.want.Name = nil, c.node
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nnot %+v", got, c.want)
			}
		})
	}
}

// What a writer leaves out, or writes in another way, than in the golden texts.
func TestContentThatIsReadAndNotWritten(t *testing.T) {
	for _, c := range []struct {
		format         Format
		node, content  string
		addr           string
		status         Status
		key, attribute string
	}{
		{ZC{}, "a:1", "", "a:1", Up, "", ""},
		{ZC{}, "a:1", "some text", "a:1", Up, "string_value", "some text"},
		{ZC{}, "a:1", `{"x":NaN}`, "a:1", Up, "x", "NaN"},
		{ZC{}, "a:1", `{"x":Infinity}`, "a:1", Up, "x", "Infinity"},
		{Curator{}, "i", `{"address":"a","port":1}`, "a:1", Up, "", ""}, // the least that Curator reads, with an address
		{Curator{}, "i", `{"address":"a","port":1,"enabled":true,"pid":7,"tag":"x"}`, "a:1", Up, "", ""},
		{Curator{}, "i", `{"address":"a","port":1,"payload":{"metadata":{"k":"v","instance_status":"down"}}}`, "a:1", "DOWN", "k", "v"}, // dubbo-go's has no class
		{Serverset{}, "any", `{"ServiceEndpoint":{"Host":"a","Port":1},"STATUS":"alive"}`, "a:1", Up, "", ""},
		{Serverset{}, "member_1", `{"serviceEndpoint":{"host":"a","port":1}}`, "a:1", Unknown, "", ""},
		{Nerve{}, "i_1", `{"host":"a","port":"1"}`, "a:1", Up, "", ""},
		{Nerve{}, "base64_60_eyJob3N0IjoiMS4yLjMuNCIsInBvcnQiOjMwMDAsIm5hbWUiOiJpLTEifQ==_0000000003", "", "1.2.3.4:3000", Up, "", ""},
		{Nerve{}, "base64_4_????_0000000003", nerveText, "1.2.3.4:3000", Up, "", ""},
		{Nerve{}, "base64_99_e30=_0000000003", nerveText, "1.2.3.4:3000", Up, "", ""},
	} {
		e, err := c.format.Decode(c.node, []byte(c.content))
		if err != nil || e.Addr != c.addr || e.Status != c.status || e.Weight != 1 || e.Attributes[c.key] != c.attribute {
			t.Errorf("%T %s %s: %+v, %v", c.format, c.node, c.content, e, err)
		}
	}
}

func TestNodesThatAreNoEndpoints(t *testing.T) {
	for _, c := range []struct {
		format        Format
		node, content string
		want          string
	}{
		{ZC{}, "providers", "{}", "missing port"},
		{ZC{}, ":80", "{}", "not a host and a port"},
		{ZC{}, "a:0", "{}", "not a host and a port"},
		{Curator{}, "i", "", "not a JSON object"},
		{Curator{}, "i", "[]", "not a JSON object"},
		{Curator{}, "i", `{"address":`, "unexpected end"},
		{Curator{}, "i", `{}`, "names no host"},
		{Curator{}, "i", `{"address":"a"}`, "names no port"},
		{Curator{}, "i", `{"address":"a","port":65536}`, "65536"},
		{Curator{}, "i", `{"address":"a","port":"x"}`, "port"},
		{Serverset{}, "member_1", "\x0c\x00\x01\x0b", "not a JSON object"}, // Thrift
		{Serverset{}, "member_1", `{"status":"ALIVE"}`, "names no host"},
		{Serverset{Endpoint: "http"}, "member_1", `{"serviceEndpoint":{"host":"a","port":1}}`, `"http"`},
		{Serverset{}, "vector_1", `{"vector":[]}`, ErrNotEndpoint.Error()},
		{Nerve{}, "i_1", `{"host":"a","port":"x"}`, "not a number"},
		{Nerve{}, "i_1", `{"host":"a","port":1,"weight":-1}`, "below 0"},
		{Nerve{}, "i_1", `{"host":"a"}`, "names no port"},
	} {
		if e, err := c.format.Decode(c.node, []byte(c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T %s %s: %+v, %v", c.format, c.node, c.content, e, err)
		}
	}
}

func TestNewEndpoints(t *testing.T) {
	shard := 3
	metadata := Endpoint{Name: "i-1", Addr: "10.0.0.5:8080", Weight: 2, Status: OutOfService, Attributes: attributes{"zone": "a"},
		Raw: CuratorInstance{RegistrationTime: 1}}
	spring := `{"name":"search","id":"i-1","address":"10.0.0.5","port":8080,"sslPort":null,"payload":{"@class":"%s","id":"i-1","name":"search",` +
		`"metadata":{"instance_status":"OUT_OF_SERVICE","weight":"2","zone":"a"}},"registrationTimeUTC":1,"serviceType":"DYNAMIC","uriSpec":%s}`
	uri := springText[strings.Index(springText, `{"parts"`) : len(springText)-1]
	for _, c := range []struct {
		format  Format
		e       Endpoint
		name    string
		content string
	}{
		{ZC{}, Endpoint{Addr: "a:1", Weight: 2, Attributes: attributes{"zone": "a"}}, "a:1", fmt.Sprintf(`{"pid":%d,"weight":2,"zone":"a"}`, os.Getpid())},
		{ZC{}, Endpoint{Addr: "a:1", Attributes: attributes{"pid": "7"}}, "a:1", `{"pid":"7"}`},
		{ZC{}, Endpoint{Addr: "a:1", Raw: map[string]any{"threads": int64(4), "pid": nil}}, "a:1", `{"pid":null,"threads":4}`},
		{Curator{}, Endpoint{Name: "i-1", Addr: "10.0.0.5:8080", Raw: CuratorInstance{RegistrationTime: 1654331328914}}, "i-1", plainText},
		{Curator{Payload: SpringPayload}, metadata, "i-1", fmt.Sprintf(spring, SpringPayload, uri)},
		{Curator{Payload: DubboPayload}, metadata, "i-1", fmt.Sprintf(spring, DubboPayload, "null")},
		{Curator{Payload: MapPayload}, Endpoint{Name: "i-1", Addr: "10.0.0.5:8080", Attributes: attributes{"0": "1"}, Raw: CuratorInstance{RegistrationTime: 1654331328914}}, "i-1",
			strings.ReplaceAll(plainText, `"payload":null`, `"payload":{"@class":"java.util.HashMap","0":"1"}`)},
		{Serverset{}, Endpoint{Addr: "foo:1000"}, "member_", `{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{},"status":"ALIVE"}`},
		{Serverset{}, Endpoint{Addr: "foo:1000", Status: Dead, Raw: ServersetMember{Shard: &shard}}, "member_",
			`{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{},"status":"DEAD","shard":3}`},
		{Serverset{Endpoint: "http"}, Endpoint{Addr: "foo:1000"}, "member_",
			`{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{"http":{"host":"foo","port":1000}},"status":"ALIVE"}`},
		{Nerve{}, Endpoint{Name: "i-1", Addr: "1.2.3.4:3000"}, "i-1_", nerveText},
		{Nerve{}, Endpoint{Addr: "1.2.3.4:3000", Raw: NerveMember{Labels: attributes{"a": "b"}}}, "1.2.3.4:3000_",
			`{"host":"1.2.3.4","port":3000,"name":"1.2.3.4:3000","labels":{"a":"b"}}`},
	} {
		node, err := c.format.Encode("/services/search", c.e)
		if err != nil || node.Name != c.name || string(node.Content) != c.content {
			t.Errorf("%+v %+v:\n%s %s, %v, not\n%s %s", c.format, c.e, node.Name, node.Content, err, c.name, c.content)
		}
	}
}

func TestACuratorInstanceHasAnIDOfItsOwn(t *testing.T) {
	ids := map[string]bool{}
	for range 10 {
		node, err := Curator{}.Encode("/services/search", Endpoint{Addr: "a:1"})
		var i CuratorInstance
		if err != nil || json.Unmarshal(node.Content, &i) != nil || i.ID != node.Name || len(i.ID) != 36 || i.RegistrationTime == 0 || i.Name != "search" {
			t.Fatalf("%+v, %+v, %v", node, i, err)
		}
		ids[i.ID] = true
	}
	if len(ids) != 10 {
		t.Errorf("ids are not random: %v", ids)
	}
	node, err := Curator{Payload: DubboPayload}.Encode("/services/search", Endpoint{Addr: "a:1"})
	if err != nil || node.Name != "a:1" {
		t.Errorf("Dubbo's id is not the address: %+v, %v", node, err)
	}
}

// What an endpoint says wins over its Raw, and the rest of that stays.
func TestChangedEndpoints(t *testing.T) {
	replace := strings.NewReplacer
	for _, c := range []struct {
		format  Format
		content string
		change  func(e *Endpoint)
		want    *strings.Replacer
	}{
		{Curator{}, springText, func(e *Endpoint) { e.Addr, e.Status = "b:9", OutOfService },
			replace("10.0.0.5", "b", "8080", "9", `"UP"`, `"OUT_OF_SERVICE"`)},
		{Curator{}, strings.ReplaceAll(springText, `"sslPort":null`, `"sslPort":1`), func(e *Endpoint) { e.Addr = "b:9" },
			replace("10.0.0.5", "b", `"sslPort":1`, `"sslPort":9`)},
		{Curator{}, dubboText, func(e *Endpoint) { e.Attributes = attributes{}; e.Weight = 5 },
			replace(dubboText[strings.Index(dubboText, `"dubbo.end`):strings.Index(dubboText, `}},`)], `"weight":"5"`)},
		{Curator{}, strings.TrimSuffix(plainText, "}") + `,"enabled":false}`, func(e *Endpoint) { e.Status = Up }, replace(`,"enabled":false`, "")},
		{Curator{}, plainText, func(e *Endpoint) { e.Status = OutOfService }, replace(`"uriSpec":null`, `"uriSpec":null,"enabled":false`)},
		{Serverset{}, serversetText, func(e *Endpoint) { e.Addr, e.Status, e.Attributes = "b:9", Stopping, attributes{"a": "b"} },
			replace(`{"host":"foo","port":1000}`, `{"host":"b","port":9}`, "ALIVE", "STOPPING", `42}`, `42,"metadata":{"a":"b"}}`)},
		{Serverset{Endpoint: "http"}, serversetText, func(e *Endpoint) { e.Addr = "b:9" },
			replace(`{"host":"foo","port":8080}`, `{"host":"b","port":9}`)},
		{Nerve{}, nerveText, func(e *Endpoint) { e.Addr, e.Weight, e.Attributes = "b:9", 4, attributes{"a": "b"} },
			replace("1.2.3.4", "b", "3000", "9", `"i-1"`, `"i-1","weight":4,"labels":{"a":"b"}`)},
	} {
		e, err := c.format.Decode("n", []byte(c.content))
		if err != nil {
			t.Fatal(err)
		}
		c.change(&e)
		node, err := c.format.Encode("/s", e)
		if want := c.want.Replace(c.content); err != nil || string(node.Content) != want {
			t.Errorf("%+v: %s, %v\nnot %s", e, node.Content, err, want)
		}
	}
	// Properties keep their types, but for those that are changed.
	e, _ := ZC{}.Decode("a:1", []byte(`{"a":1,"b":2,"c":3,"pid":4}`))
	e.Attributes = attributes{"a": "1", "b": "3", "pid": "4"}
	node, err := ZC{}.Encode("/s", e)
	if want := `{"a":1,"b":"3","pid":4}`; err != nil || string(node.Content) != want {
		t.Errorf("%s, %v, not %s", node.Content, err, want)
	}
}

func TestWhatAFormatCannotExpressIsRefused(t *testing.T) {
	for _, c := range []struct {
		format Format
		e      Endpoint
		want   string
	}{
		{ZC{}, Endpoint{Addr: "a"}, "missing port"},
		{ZC{}, Endpoint{Addr: "a:1", Status: Dead}, "no status"},
		{Curator{}, Endpoint{}, "missing port"},
		{Curator{}, Endpoint{Addr: "a:1", Weight: 2}, "set Curator.Payload"},
		{Curator{}, Endpoint{Addr: "a:1", Attributes: attributes{"a": "b"}}, "set Curator.Payload"},
		{Curator{}, Endpoint{Addr: "a:1", Status: Starting}, "no place for status STARTING"},
		{Curator{Payload: "com.example.P"}, Endpoint{Addr: "a:1"}, "com.example.P"},
		{Curator{Payload: MapPayload}, Endpoint{Addr: "a:1", Attributes: attributes{"@class": "b"}}, "@class"},
		{Serverset{}, Endpoint{Addr: "a:1", Weight: 2}, "no weights"},
		{Serverset{}, Endpoint{Addr: "a:1", Status: OutOfService}, "no status"},
		{Nerve{}, Endpoint{Addr: "a:1", Status: Stopped}, "no status"},
		{Nerve{}, Endpoint{Addr: "a:1", Weight: -1}, "below 0"},
		{Nerve{}, Endpoint{Addr: "a:1", Name: "a/b"}, "slash"},
	} {
		if node, err := c.format.Encode("/s", c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T %+v: %s %s, %v", c.format, c.e, node.Name, node.Content, err)
		}
	}
}

// An endpoint of one registry can be written into another.
func TestTheRawOfAnotherFormatIsOfNoConsequence(t *testing.T) {
	e, err := Serverset{}.Decode("member_0000000001", []byte(serversetText))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Format{ZC{}, Curator{}, Curator{Payload: SpringPayload}, Nerve{}} {
		node, err := f.Encode("/s", e)
		if err != nil {
			t.Error(err)
			continue
		}
		if again, err := f.Decode(node.Name, node.Content); err != nil || again.Addr != e.Addr || again.Status != Up {
			t.Errorf("%T: %+v, %v", f, again, err)
		}
	}
}
