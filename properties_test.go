package zkstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// propertiesOf is a snapshot of a node with that content.
func propertiesOf(content string) zkstream.Properties {
	return propertiesAt("/n", content, zk.Stat{})
}

// propertiesAt returns a snapshot of a node.
func propertiesAt(path, content string, stat zk.Stat) zkstream.Properties {
	return zkstream.PropertiesOf(watching.NewNode(path, &zkconn.Answer{Exists: true, Stat: stat, Data: content}))
}

func TestContentReadsAsProperties(t *testing.T) {
	text := func(s string) map[string]any { return map[string]any{"string_value": s} }
	for content, want := range map[string]map[string]any{
		"":                     {},
		" \n\t":                {},
		"{}":                   {},
		" { } \n":              {},
		"xxx":                  text("xxx"),
		"{xxx}":                text("{xxx}"),
		"\n{xxx}\n":            text("\n{xxx}\n"),
		"[1]":                  text("[1]"),
		"3":                    text("3"),
		`"s"`:                  text(`"s"`),
		"null":                 text("null"),
		"\xff\xfe":             text("\xff\xfe"),
		`{"a": 1`:              text(`{"a": 1`),
		`{"a": 1} x`:           text(`{"a": 1} x`),
		`{"b": 2}`:             {"b": int64(2)},
		`{"a":1,"a":2}`:        {"a": int64(2)},
		`{"\u0061": "\u00e9"}`: {"a": "é"},
		"{\"a\":\t[1, 2.5, {\"}\": \"]\\\"\"}] ,\n\"b\" : null,\"c\":true}": {
			"a": []any{int64(1), 2.5, map[string]any{"}": `]"`}}, "b": nil, "c": true,
		},
		`{"n": 9223372036854775807, "m": -9223372036854775808, "f": 1.10, "e": 1e3}`: {
			"n": int64(9223372036854775807), "m": int64(-9223372036854775808), "f": 1.1, "e": 1000.0,
		},
	} {
		p := propertiesOf(content)
		if got := maps.Collect(p.All()); !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads as %v, want %v", content, got, want)
		}
		if p.Len() != len(want) || !slices.Equal(p.Keys(), slices.Sorted(maps.Keys(want))) {
			t.Errorf("%q: Len %d, Keys %q", content, p.Len(), p.Keys())
		}
		if string(p.Bytes()) != content || p.String() != content {
			t.Errorf("%q: Bytes %q, String %q", content, p.Bytes(), p)
		}
	}
}

func TestAnUpdateOfForeignContentWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		for i, content := range []string{"\xff\xfe", `{"a": 1,}`} {
			path := fmt.Sprint("/n", i)
			f.create(path, content)
			if err := c.UpdateProperties(t.Context(), path, map[string]any{"a": 1}); err == nil || !strings.Contains(err.Error(), "nothing is written") {
				t.Error(err)
			}
			if got := f.get(path); got != content {
				t.Errorf("%q has become %q", content, got)
			}
		}
	})
}

func TestNumbersThatOnlyPythonWrites(t *testing.T) {
	p := propertiesOf(`{"nan": NaN, "inf":Infinity,"neg": [-Infinity, {"x": NaN, "s": "NaN, \"Infinity"}], "mask": 1e-70}`)
	if v, _ := p.Get("nan"); !math.IsNaN(v.(float64)) {
		t.Errorf("nan is %v", v)
	}
	if v, err := zkstream.Value[float64](p, "nan"); err != nil || !math.IsNaN(v) {
		t.Errorf("nan is %v, %v", v, err)
	}
	if v, err := zkstream.Value[any](p, "inf"); err != nil || v != math.Inf(1) {
		t.Errorf("inf is %v, %v", v, err)
	}
	neg, _ := p.Get("neg")
	list := neg.([]any)
	inner := list[1].(map[string]any)
	if list[0] != math.Inf(-1) || !math.IsNaN(inner["x"].(float64)) || inner["s"] != `NaN, "Infinity` {
		t.Errorf("neg is %v", neg)
	}
	if v, _ := p.Get("mask"); v != 1e-70 {
		t.Errorf("mask is %v", v)
	}
	if _, err := zkstream.Value[float64](p, "neg"); err == nil {
		t.Error("a list is no number")
	}
}

func TestGetGivesFreshValues(t *testing.T) {
	p := propertiesOf(`{"a": {"b": [1]}}`)
	v, _ := p.Get("a")
	v.(map[string]any)["b"].([]any)[0] = "changed"
	if v, _ := p.Get("a"); !reflect.DeepEqual(v, map[string]any{"b": []any{int64(1)}}) {
		t.Errorf("the snapshot was changed: %v", v)
	}
	p.Bytes()[0] = 'x'
	if p.String()[0] != '{' {
		t.Error("the snapshot's bytes were changed")
	}
	if _, ok := p.Get("none"); ok {
		t.Error("a property that is not there")
	}
}

func TestValue(t *testing.T) {
	p := propertiesOf(`{"n": 12345678901234567890123, "s": "x", "l": ["a"], "d": 5}`)
	if n, err := zkstream.Value[*big.Int](p, "n"); err != nil || n.String() != "12345678901234567890123" {
		t.Errorf("big.Int: %v, %v", n, err)
	}
	if s, err := zkstream.Value[string](p, "s"); s != "x" || err != nil {
		t.Errorf("string: %q, %v", s, err)
	}
	if l, err := zkstream.Value[[]string](p, "l"); len(l) != 1 || err != nil {
		t.Errorf("slice: %q, %v", l, err)
	}
	if v, err := zkstream.Value[any](p, "d"); v != int64(5) || err != nil {
		t.Errorf("any: %v, %v", v, err)
	}
	if v, err := zkstream.Value[string](propertiesOf("plain \xff"), "string_value"); v != "plain \xff" || err != nil {
		t.Errorf("text: %q, %v", v, err)
	}
	for key, wrong := range map[string]func() error{
		"s":    func() error { _, err := zkstream.Value[int](p, "s"); return err },
		"none": func() error { _, err := zkstream.Value[int](p, "none"); return err },
		"more": func() error { _, err := zkstream.Value[any](p, "more"); return err },
	} {
		var pe *zkstream.PathError
		if err := wrong(); !errors.As(err, &pe) || pe.Path != "/n" || !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestZeroSnapshots(t *testing.T) {
	var (
		p zkstream.Properties
		d zkstream.Data
		c zkstream.Children
	)
	if p.Exists() || p.Len() != 0 || p.Path() != "" || d.Exists() || d.String() != "" || c.Exists() || c.Len() != 0 || c.Contains("") {
		t.Error("the zero snapshots are not those of a missing node")
	}
	if err := p.Decode(&struct{}{}); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("Decode: %v", err)
	}
}

type config struct {
	Threads int
	Backend string `json:"backend"`
}

func TestDecodeKeepsTheLastGoodValue(t *testing.T) { onEach(t, testDecodeKeepsTheLastGoodValue) }

func testDecodeKeepsTheLastGoodValue(t *testing.T, f *fixture) {
	c := f.connect()
	s := zkstream.Decode[config](c.Properties(t.Context(), "/config"))
	if got := next(t, s); got.Exists || got.Err != nil || got.Value != (config{}) {
		t.Errorf("missing: %+v", got)
	}
	f.create("/config", `{"threads": 4, "backend": "a"}`)
	if got := next(t, s); !got.Exists || got.Err != nil || got.Value != (config{4, "a"}) || got.Stat.Version != 0 {
		t.Errorf("created: %+v", got)
	}
	for _, bad := range []string{`{"threads": "four"}`, `{"threads": `, "text"} {
		f.set("/config", bad)
		got := next(t, s)
		var pe *zkstream.PathError
		if !got.Exists || !errors.As(got.Err, &pe) || pe.Path != "/config" || got.Value != (config{4, "a"}) {
			t.Errorf("%s: %+v", bad, got)
		}
	}
	f.set("/config", `{"threads": 5}`)
	if got := next(t, s); got.Err != nil || got.Value != (config{5, ""}) {
		t.Errorf("good again: %+v", got)
	}
	f.delete("/config")
	if got := next(t, s); got.Exists || got.Err != nil || got.Value != (config{}) {
		t.Errorf("deleted: %+v", got)
	}
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) { onEach(t, testConcurrentUpdatesLoseNothing) }

func testConcurrentUpdatesLoseNothing(t *testing.T, f *fixture) {
	const kept = `"big": 12345678901234567890123, "\u0066loat": 1.10`
	f.create("/p", "{"+kept+"}")
	var wg sync.WaitGroup
	for i := range 8 {
		c := f.connect()
		for j := range 25 {
			wg.Go(func() {
				if err := c.UpdateProperties(t.Context(), "/p", map[string]any{fmt.Sprintf("key-%d-%d", i, j): i * j}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	content := f.get("/p")
	p := propertiesOf(content)
	if p.Len() != 202 {
		t.Errorf("%d properties, want 202", p.Len())
	}
	for i := range 8 {
		for j := range 25 {
			if v, _ := p.Get(fmt.Sprintf("key-%d-%d", i, j)); v != int64(i*j) {
				t.Errorf("key-%d-%d is %v", i, j, v)
			}
		}
	}
	if !strings.HasPrefix(content, "{"+kept+", ") {
		t.Errorf("the bytes of other keys have changed: %.100s", content)
	}
}

func TestWritesCarryOnThroughDroppedConnections(t *testing.T) {
	onEach(t, testWritesCarryOnThroughDroppedConnections)
}

func testWritesCarryOnThroughDroppedConnections(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/p", "{}")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for range 20 {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
				f.Drop()
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			for j := range 20 {
				err := zkstream.ErrUnknown // which an update whose key is its own may be repeated after
				for errors.Is(err, zkstream.ErrUnknown) {
					err = c.UpdateProperties(t.Context(), "/p", map[string]any{fmt.Sprint(key, "-", j): j})
				}
				if err != nil {
					t.Error(err)
				}
			}
			path := "/dir/" + key
			err := c.Create(t.Context(), path, map[string]any{"a": i})
			for again := err; errors.Is(again, zkstream.ErrUnknown); {
				if again = c.Create(t.Context(), path, map[string]any{"a": i}); again == nil || errors.Is(again, zk.ErrNodeExists) {
					err = nil
				}
			}
			if err != nil {
				t.Error(err)
			}
			if err := c.SetProperties(t.Context(), path, map[string]any{"b": i}); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if err := c.Delete(t.Context(), path); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-stopped
	if n := propertiesOf(f.get("/p")).Len(); n != 160 {
		t.Errorf("%d properties, want 160", n)
	}
	left, _, err := f.admin.Children(f.root + "/dir")
	if err != nil || len(left) != 4 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWriteErrorsNameThePath(t *testing.T) { onEach(t, testWriteErrorsNameThePath) }

func testWriteErrorsNameThePath(t *testing.T, f *fixture) {
	c := f.connect()
	ctx := t.Context()
	check := func(what string, err, want error, path string) {
		t.Helper()
		var pe *zkstream.PathError
		if !errors.Is(err, want) || !errors.As(err, &pe) || pe.Path != path {
			t.Errorf("%s: %v, want %v of %s", what, err, want, path)
		}
	}
	check("set a missing node", c.SetProperties(ctx, "/none", nil), zk.ErrNoNode, "/none")
	check("update a missing node", c.UpdateProperties(ctx, "/none", nil), zk.ErrNoNode, "/none")
	check("delete a missing node", c.Delete(ctx, "/none"), zk.ErrNoNode, "/none")
	if err := c.Create(ctx, "/a/b/c", map[string]any{"x": 1}); err != nil {
		t.Fatal(err)
	}
	if got := f.get("/a/b/c"); got != `{"x": 1}` {
		t.Errorf("created %q", got)
	}
	if got := f.get("/a/b"); got != "" {
		t.Errorf("parent %q", got)
	}
	check("create twice", c.Create(ctx, "/a/b/c", map[string]any{"x": 1}), zk.ErrNodeExists, "/a/b/c")
	check("delete a parent", c.Delete(ctx, "/a"), zk.ErrNotEmpty, "/a")
	check("too large", c.SetProperties(ctx, "/a", map[string]any{"x": strings.Repeat("x", 1<<20)}), zkstream.ErrTooLarge, "/a")
	check("too large after all", func() error {
		for i := range 20 {
			if err := c.UpdateProperties(ctx, "/a", map[string]any{fmt.Sprint(i): strings.Repeat("x", 100_000)}); err != nil {
				return err
			}
		}
		return nil
	}(), zkstream.ErrTooLarge, "/a")
	if n := propertiesOf(f.get("/a")).Len(); n != 10 {
		t.Errorf("what went before is gone: %d properties", n)
	}
	if err := c.UpdateProperties(ctx, "/a", map[string]any{"bad": make(chan int)}); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("a value that has no JSON: %v", err)
	}
	if _, err := f.admin.Create(f.root+"/eph", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	check("create below an ephemeral node", c.Create(ctx, "/eph/x", nil), zk.ErrNoChildrenForEphemerals, "/eph/x")
}

func TestPropertyStreamWritesItsNode(t *testing.T) { onEach(t, testPropertyStreamWritesItsNode) }

func testPropertyStreamWritesItsNode(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/p", `{"a": 1}`)
	s := c.Properties(t.Context(), "/p")
	next(t, s.Stream)
	if err := s.Update(t.Context(), map[string]any{"b": nil}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, s.Stream); got.String() != `{"a": 1, "b": null}` {
		t.Errorf("updated: %s", got)
	}
	if err := s.Set(t.Context(), map[string]any{"string_value": "xxx"}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, s.Stream); got.String() != "xxx" {
		t.Errorf("set: %s", got)
	}
}

func TestPropertiesWithOtherValues(t *testing.T) {
	p := propertiesAt("/a", `{"a": 1, "b": [1.0,  2]}`, zk.Stat{Mzxid: 7})
	why := errors.New("why")
	q, err := p.With(map[string]json.RawMessage{"a": json.RawMessage("123456789012345678901234567890"), "c": json.RawMessage("NaN")}, why)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a": 123456789012345678901234567890, "b": [1.0,  2], "c": NaN}`; q.String() != want || q.Err() != why || q.Path() != "/a" || !q.Exists() || q.Stat().Mzxid != 7 {
		t.Errorf("%s, %v, %s, %v, %+v", q, q.Err(), q.Path(), q.Exists(), q.Stat())
	}
	if p.String() != `{"a": 1, "b": [1.0,  2]}` || p.Err() != nil {
		t.Errorf("the snapshot itself is now %s, %v", p, p.Err())
	}
	if raw, err := zkstream.Value[json.RawMessage](q, "b"); string(raw) != "[1.0,  2]" || err != nil {
		t.Errorf("a value as it stands: %s, %v", raw, err)
	}
	if f, err := zkstream.Value[float64](q, "c"); !math.IsNaN(f) || err != nil {
		t.Errorf("NaN: %v, %v", f, err)
	}
	if _, err := zkstream.Value[int](q, "d"); !errors.Is(err, why) {
		t.Errorf("a property that is missing: %v", err)
	}
	for _, bad := range []string{"", "x", "1 2", `"a`} {
		if q, err := p.With(map[string]json.RawMessage{"a": json.RawMessage(bad)}, nil); err == nil {
			t.Errorf("%q is no JSON: %s", bad, q)
		}
	}
	text := propertiesAt("/a", "\xff", zk.Stat{})
	if q, err := text.With(map[string]json.RawMessage{"a": json.RawMessage("1")}, nil); err == nil {
		t.Errorf("content that is no text: %s", q)
	}
	if q, err := (zkstream.Properties{}).With(nil, nil); err != nil || q.Exists() {
		t.Errorf("of nothing: %v, %v", q, err)
	}
}
