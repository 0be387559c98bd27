package zkconn

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// zkLogger puts go-zookeeper's lines into a slog.Logger. They have no level of their own.
type zkLogger struct{ log *slog.Logger }

// Beginnings of the lines that tell of nothing unusual.
var (
	debugLines = []string{"re-submitting", "send loop terminated", "recv closed", "should quit", "Response for unknown request"}
	infoLines  = []string{"connected to", "authenticated", "recv loop terminated", "authentication failed: zk: session has been expired"}
)

// Printf logs one line. Attempts that did not reach as far as a dial leave none.
func (l zkLogger) Printf(format string, args ...any) {
	if n := len(args); n > 0 && (args[n-1] == errNextRound || args[n-1] == errMustWait) {
		return
	}
	level := slog.LevelWarn
	line := fmt.Sprintf(format, args...)
	for _, s := range debugLines {
		if strings.HasPrefix(line, s) {
			level = slog.LevelDebug
		}
	}
	for _, s := range infoLines {
		if strings.HasPrefix(line, s) {
			level = slog.LevelInfo
		}
	}
	l.log.Log(context.Background(), level, line, "source", "go-zookeeper")
}
