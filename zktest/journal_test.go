package zktest

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestTheJournalHasEachChangeOnceAndNoFailedOne(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	var got []string
	s.Journal(func(ch Change) {
		who := "server"
		if ch.Session == c.session {
			who = "client"
		}
		got = append(got, fmt.Sprintf("%d %s %v %s %q", ch.Zxid, who, ch.Op, ch.Path, ch.Data))
	})
	zxid := s.Stats().Zxid
	if err := s.Create("/a/b", []byte("1")); err != nil {
		t.Fatal(err)
	}
	s.Create("/a/b", []byte("2")) // is there
	c.ok(t, createRequest("/e", 1))
	c.ok(t, request{op: OpSetData, path: "/a/b", data: []byte("3"), version: 0})
	c.ok(t, request{op: OpMulti, multi: []request{ // fails as a whole
		{op: OpSetData, path: "/a/b", data: []byte("4"), version: -1}, {op: OpDelete, path: "/none", version: -1},
	}})
	c.ok(t, request{op: OpMulti, multi: []request{
		{op: OpSetData, path: "/a/b", data: []byte("5"), version: -1}, {op: OpDelete, path: "/a/b", version: -1},
	}})
	s.ExpireSession(c.session)
	want := []string{
		fmt.Sprintf("%d server create /a %q", zxid+1, ""),
		fmt.Sprintf("%d server create /a/b %q", zxid+2, "1"),
		fmt.Sprintf("%d client create /e %q", zxid+4, createRequest("/e", 1).data),
		fmt.Sprintf("%d client setData /a/b %q", zxid+5, "3"),
		fmt.Sprintf("%d client setData /a/b %q", zxid+7, ""),
		fmt.Sprintf("%d client delete /a/b %q", zxid+7, ""),
		fmt.Sprintf("%d client delete /e %q", zxid+8, ""),
	}
	s.Journal(nil)
	s.Set("/a", []byte("6")) // nobody is told
	if !slices.Equal(got, want) {
		t.Errorf("the journal:\n%q\nwant:\n%q", got, want)
	}
}
