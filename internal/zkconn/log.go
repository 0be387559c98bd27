package zkconn

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// zkLogger puts go-zookeeper's lines into a slog.Logger. They have no level of their own. What they say of
// single attempts to connect is for debugging: hosts sums it up.
type zkLogger struct{ log *slog.Logger }

// lines are the beginnings of those that report nothing unusual.
var lines = []struct {
	start   string
	level   slog.Level
	instead string // of start, where that misleads; "": start is right
}{
	{"connected to", slog.LevelDebug, ""},
	{"failed to connect to", slog.LevelDebug, ""},
	{"authenticated", slog.LevelDebug, "session established"},
	{"authentication failed", slog.LevelDebug, "handshake failed"}, // of any error, credentials aside
	{"recv loop terminated", slog.LevelInfo, "connection ended"},
	{"send loop terminated", slog.LevelDebug, ""},
	{"re-submitting", slog.LevelDebug, ""},
	{"recv closed", slog.LevelDebug, ""},
	{"should quit", slog.LevelDebug, ""},
	{"Response for unknown request", slog.LevelDebug, ""},
}

// Printf logs one line. Attempts that did not reach as far as a dial leave none.
func (l zkLogger) Printf(format string, args ...any) {
	if n := len(args); n > 0 && (args[n-1] == errNextRound || args[n-1] == errMustWait) {
		return
	}
	level, line := slog.LevelWarn, fmt.Sprintf(format, args...)
	for _, known := range lines {
		if rest, ok := strings.CutPrefix(line, known.start); ok {
			if level = known.level; known.instead != "" {
				line = known.instead + rest
			}
		}
	}
	l.log.Log(context.Background(), level, line, "source", "go-zookeeper")
}
