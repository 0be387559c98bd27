package ensemble

import (
	"errors"
	"maps"
	"testing"
	"time"
)

func TestWatchesAreCountedByPath(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	conn, other := client(t, s.Addr()), client(t, s.Addr())
	create(t, conn, "/a", "")
	create(t, conn, "/a/b", "")
	wantWatches := func(path string, want int) {
		t.Helper()
		if got, err := s.Watches(within(t), path); err != nil || got != want {
			t.Errorf("watches on %s: %d, %v; want %d", path, got, err, want)
		}
	}
	wantWatches("/a", 0)

	_, _, _, err1 := conn.GetW("/a")
	_, _, _, err2 := conn.ChildrenW("/a")
	_, _, _, err3 := other.GetW("/a")
	_, _, _, err4 := conn.ExistsW("/none")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	wantWatches("/a", 2) // the child watch is not told
	wantWatches("/a/b", 0)
	wantWatches("/none", 1)
	stat, err := s.Stat(within(t))
	if err != nil || stat["zk_watch_count"] != "4" {
		t.Errorf("mntr counts %q watches, %v; want 4", stat["zk_watch_count"], err)
	}
	if _, err := conn.Set("/a", []byte("x"), -1); err != nil { // uses up the two data watches
		t.Fatal(err)
	}
	wantWatches("/a", 0)
}

func TestConnectionsNameSessionAndTimeout(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	if conns, err := s.Connections(within(t)); err != nil || len(conns) != 0 {
		t.Fatalf("connections of an idle server: %v, %v", conns, err)
	}
	conn := client(t, s.Addr())
	conns, err := s.Connections(within(t))
	if err != nil || len(conns) != 1 {
		t.Fatalf("connections: %v, %v; want one", conns, err)
	}
	got := conns[0]
	if got.Session != conn.SessionID() || got.Timeout != 4*time.Second || got.Addr == "" || got.Fields["recved"] == "" {
		t.Errorf("the connection is %+v, want session %#x and 4s", got, conn.SessionID())
	}
}

func TestFourLetterWordsHaveFourLetters(t *testing.T) {
	s := &Server{id: 1, addr: "127.0.0.1:1"}
	for _, word := range []string{"", "stats"} {
		if answer, err := s.FourLetter(t.Context(), word); err == nil {
			t.Errorf("%q: %q", word, answer)
		}
	}
}

func TestAnswersThatTellNothingAreErrors(t *testing.T) {
	// One server of three cannot serve.
	e := Start(t, 3)
	for _, s := range e.Servers()[1:] {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	s := e.Servers()[0]
	err := poll(within(t), func() (bool, error) { return errors.Is(s.status(t.Context()).err, errNotServing), nil })
	if err != nil {
		t.Fatal("it serves alone:", err)
	}
	_, err1 := s.Stat(within(t))
	_, err2 := s.Watches(within(t), "/")
	_, err3 := s.Connections(within(t))
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, errNotServing) {
			t.Errorf("error %v, want %v", err, errNotServing)
		}
	}
}

func TestParseAnswers(t *testing.T) {
	stat := parseMntr("zk_version\t3.8.0, built on then\nzk_server_state\tleader\nnonsense\n")
	if want := map[string]string{"zk_version": "3.8.0, built on then", "zk_server_state": "leader"}; !maps.Equal(stat, want) {
		t.Errorf("mntr: %v", stat)
	}
	watches := parseWchp("/a b\n\t0x1\n\t0x2\n/c\n\t0x1\n\n")
	if want := map[string]int{"/a b": 2, "/c": 1}; !maps.Equal(watches, want) {
		t.Errorf("wchp: %v", watches)
	}
	conn, ok := parseConnection("/127.0.0.1:42918[1](queued=0,recved=7,sid=0xf000000000000001,lop=PING,to=4000)")
	if !ok || conn.Addr != "127.0.0.1:42918" || uint64(conn.Session) != 0xf000000000000001 ||
		conn.Timeout != 4*time.Second || conn.Fields["lop"] != "PING" {
		t.Errorf("cons: %+v, %v", conn, ok)
	}
	for _, line := range []string{"", "This ZooKeeper", "/1.2.3.4:5", "/1.2.3.4:5[1]"} {
		if conn, ok := parseConnection(line); ok {
			t.Errorf("cons: %q is %+v", line, conn)
		}
	}
}
