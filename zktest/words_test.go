package zktest

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

func dialWord(t testing.TB, addr, w string) (string, error) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	return word(nc, w)
}

// normalWord takes out of an answer what differs between any two servers.
func normalWord(text string, session int64) string {
	text = strings.ReplaceAll(text, fmt.Sprintf("0x%x", session), "SESSION")
	for pattern, replacement := range map[string]string{
		`(?m)^Zookeeper version: ([\d.]+)-.*$`:      "VERSION $1",
		`127\.0\.0\.1:\d+`:                          "CLIENT",
		`(est|lresp|llat|minlat|avglat|maxlat)=\d+`: "$1=N",
		`(Latency min/avg/max): .*`:                 "$1 N",
		`(?m)^(Received|Sent): \d+`:                 "$1: N",
		`(?m)^\d+ expire at .*\n`:                   "", // the real server has empty sets, too
		`Sets \(\d+\)/`:                             "Sets (N)/",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, replacement)
	}
	return text
}

func sortedLines(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestFourLetterWordsAnswerAsZooKeeper(t *testing.T) {
	version := realVersion(t)
	e := ensemble.Start(t, 1)
	s := Start(t, WithTickTime(200*time.Millisecond), WithVersion(version))
	answers := map[string]map[string]string{}
	for name, addr := range map[string]string{"real": e.Servers()[0].Addr(), "zktest": s.Addr()} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := &rawClient{nc: nc}
		if _, err := c.handshake(time.Minute, false); err != nil {
			t.Fatal(err)
		}
		c.ok(t, createRequest("/e", 1))
		c.ok(t, request{op: OpGetData, path: "/e", watch: true})
		c.must(t, request{op: OpExists, path: "/missing", watch: true})
		c.ok(t, request{op: OpGetChildren, path: "/", watch: true})
		answers[name] = map[string]string{}
		for _, w := range []string{"ruok", "isro", "srvr", "stat", "cons", "wchs", "wchp", "wchc", "crst", "srst", "gtmk",
			"stmk\x00\x00\x00\x00\x00\x00\x00\x10", "gtmk", "hash", "dump"} {
			text, err := dialWord(t, addr, w)
			if err != nil {
				t.Fatalf("%s on %s: %v", w, name, err)
			}
			answers[name][w] = normalWord(text, c.session)
		}
		for _, w := range []string{"mntr", "conf", "envi"} { // the same keys; these answer them in another order
			text, err := dialWord(t, addr, w)
			if err != nil {
				t.Fatalf("%s on %s: %v", w, name, err)
			}
			answers[name][w] = text
		}
	}
	for w, want := range answers["real"] {
		got := answers["zktest"][w]
		switch w {
		case "mntr", "conf", "envi":
			for line := range strings.Lines(got) {
				key := regexp.MustCompile(`^[\w.]+[\t=:]`).FindString(line)
				if key != "go.version=" && !strings.Contains(want, key) {
					t.Errorf("%s: %q is not in the real server's answer", w, key)
				}
			}
		default:
			if sortedLines(got) != sortedLines(want) { // the real server's maps have another order
				t.Errorf("%s:\nreal   %q\nzktest %q", w, want, got)
			}
		}
	}
	mntr := answers["zktest"]["mntr"]
	for _, line := range []string{
		"zk_znode_count\t6", "zk_ephemerals_count\t1", "zk_watch_count\t3", "zk_global_sessions\t1",
		"zk_approximate_data_size\t46", "zk_server_state\tstandalone",
	} {
		for name, text := range map[string]string{"zktest": mntr, "real": answers["real"]["mntr"]} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("mntr on %s has no %q:\n%s", name, line, text)
			}
		}
	}
}

func TestFourLetterWordsInMemory(t *testing.T) {
	s := Start(t)
	for w, part := range map[string]string{
		"dump": "Sessions with Ephemerals (0):", "dirs": "datadir_size: 0", "gtmk": "306",
		"conf": "clientPort=-1\n", "envi": "zookeeper.version=3.8.6",
	} {
		nc, err := s.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := word(nc, w); err != nil || !strings.Contains(text, part) {
			t.Errorf("%s: %q, %v", w, text, err)
		}
	}
}

func TestFourLetterWordIsNotAnsweredAfterTheHandshake(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	if _, err := c.nc.Write([]byte("ruok")); err != nil { // as a length it is far too large
		t.Fatal(err)
	}
	c.closed(t)
}

func TestFourLetterWordsThatAreNotAllowedAreRefusedAsOnZooKeeper(t *testing.T) {
	version := realVersion(t)
	s := Start(t, WithVersion(version), WithFourLetterWords("srvr"))
	if text, err := dialWord(t, s.Addr(), "srvr"); err != nil || !strings.HasPrefix(text, "Zookeeper version") {
		t.Errorf("%q, %v", text, err)
	}
	restricted := ensemble.Start(t, 1, ensemble.Options{Config: map[string]string{"4lw.commands.whitelist": "srvr,ruok"}})
	for _, w := range []string{"mntr", "stat", "isro", "stmk", "hash"} {
		want, err := dialWord(t, restricted.Servers()[0].Addr(), w)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := dialWord(t, s.Addr(), w); err != nil || got != want {
			t.Errorf("%s: %q, %v, on the real server %q", w, got, err, want)
		}
	}
}
