package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zkstream/zkstream/internal/history"
)

// line is one line of a contender's standard output, taken apart.
type line struct {
	verb    string         // the first word
	id      string         // of data, children, end, registered, withdrawn, failed and updated
	node    state          // of a snapshot
	set     []history.Node // of a snapshot of a set
	text    string         // the rest: a reason, a session's state, the command that it is unable to do
	use     usage          // of stats
	version int32          // of made
}

// state is what a snapshot says of a node, or the truth about it.
type state struct {
	exists  bool
	czxid   int64  // 0: not told
	zxid    int64  // mzxid of a node's data, pzxid of its children; 0: not told
	content string // the value, or the names as [a,b,c]

	// Of the truth about a service: the addresses as [a,b,c]. A library may tell these, where its nodes have
	// other names.
	addrs string
}

// matches reports whether a snapshot is the truth, as far as it tells.
func (s state) matches(truth state) bool {
	if s.exists != truth.exists || s.content != truth.content && (truth.addrs == "" || s.content != truth.addrs) {
		return false
	}
	return s.czxid == 0 || s.czxid == truth.czxid && s.zxid == truth.zxid
}

func (s state) String() string {
	if !s.exists {
		return "no node"
	}
	if s.czxid == 0 {
		return s.content
	}
	return fmt.Sprintf("%s (czxid %#x, zxid %#x)", s.content, s.czxid, s.zxid)
}

// usage is what a process uses.
type usage struct{ goroutines, heap, files int64 }

// padding is what makes a value large, at its end. It is left out where values are told.
const padding = "."

// listing is how the names of children are written, sorted.
func listing(names []string) string { return "[" + strings.Join(names, ",") + "]" }

// parseLine takes a contender's line apart.
func parseLine(text string) (line, error) {
	verb, rest, _ := strings.Cut(text, " ")
	l := line{verb: verb}
	switch verb {
	case "ready":
		return l, nil
	case "session", "unable":
		l.text = rest
		return l, nil
	case "stats":
		_, err := fmt.Sscanf(rest, "%d %d %d", &l.use.goroutines, &l.use.heap, &l.use.files)
		return l, err
	case "end", "failed", "unknown", "toolarge", "registered", "withdrawn", "updated":
		l.id, l.text, _ = strings.Cut(rest, " ")
		return l, nil
	case "made":
		_, err := fmt.Sscanf(rest, "%s %d", &l.id, &l.version)
		return l, err
	case "instances", "tree":
		l.id, l.text, _ = strings.Cut(rest, " ")
		if l.text == "-" {
			return l, nil
		}
		var err error
		if l.set, err = parseSet(l.text); err == nil {
			l.node = state{exists: true, content: listSet(l.set)}
		}
		return l, err
	case "data", "children":
		words := strings.SplitN(rest, " ", 4)
		if len(words) != 4 {
			break
		}
		l.id = words[0]
		czxid, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return l, err
		}
		zxid, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return l, err
		}
		if words[3] != "-" {
			l.node = state{exists: true, czxid: czxid, zxid: zxid, content: words[3]}
		}
		return l, nil
	}
	return l, fmt.Errorf("not a line of the protocol: %q", text)
}
