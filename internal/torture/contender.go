package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	program "github.com/zkstream/zkstream/internal/contender"
	"github.com/zkstream/zkstream/internal/history"
)

const (
	contenderEnv = "ZKSTREAM_TORTURE_CONTENDER" // which contender this process is, if it is one
	subject      = "zkstream"                   // the contender that must not break a promise

	// namesEnv has a contender find its servers by a name, if it can.
	namesEnv = "ZKSTREAM_TORTURE_NAMES"

	// What a contender may take for one update.
	updateLimit = 10 * time.Second
)

// library is what a contender that is written in Go has to do. Each method returns at once, and says later
// what there is to say.
type library interface {
	data(id, path string)
	children(id, path string)
	instances(id, path string)
	tree(id, path string)
	register(id, path, addr string)
	withdraw(id string)
	update(ctx context.Context, id, path, key, value string) // ctx ends after updateLimit
	large(ctx context.Context, id, path string, size int)    // the same
	call(ctx context.Context, id, kind, path string)         // the same
	names(mode string)
	close()
}

var libraries = map[string]func(servers string, timeout time.Duration) (library, error){
	subject: openZkstream,
	"raw":   openRaw,
}

// contend is the main function of a contender's process, which ends when its standard input does.
func contend(name string, args []string) error {
	lib, err := program.Run(args, libraries[name], obey)
	if err == nil {
		lib.close()
	}
	return err
}

func obey(lib library, words []string) error {
	lengths := map[string]int{"data": 3, "children": 3, "instances": 3, "tree": 3, "register": 4, "withdraw": 2, "update": 5, "large": 4, "call": 4, "names": 2, "stats": 1}
	if n := lengths[words[0]]; n == 0 || n != len(words) {
		return fmt.Errorf("no such command")
	}
	switch words[0] {
	case "data":
		lib.data(words[1], words[2])
	case "children":
		lib.children(words[1], words[2])
	case "instances":
		lib.instances(words[1], words[2])
	case "tree":
		lib.tree(words[1], words[2])
	case "register":
		lib.register(words[1], words[2], words[3])
	case "withdraw":
		lib.withdraw(words[1])
	case "update":
		// Ends with its context.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), updateLimit)
			defer cancel()
			lib.update(ctx, words[1], words[2], words[3], words[4])
		}()
	case "large":
		size, err := strconv.Atoi(words[3])
		if err != nil {
			return err
		}
		// Ends with its context.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), updateLimit)
			defer cancel()
			lib.large(ctx, words[1], words[2], size)
		}()
	case "call":
		// Ends with its context.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), updateLimit)
			defer cancel()
			lib.call(ctx, words[1], words[2], words[3])
		}()
	case "names":
		lib.names(words[1])
	case "stats":
		heap, _ := program.Memory()
		say("stats %d %d %d", runtime.NumGoroutine(), heap, files())
	}
	return nil
}

// files returns how many file descriptors are open, 0 where the system does not tell.
func files() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names) - 1 // without the one that reads them
}

// say writes a line, from whatever goroutine.
func say(format string, args ...any) { program.Say(format, args...) }

// sayData and sayChildren write snapshots of nodes that exist.
func sayData(id string, czxid, mzxid int64, value string) {
	say("data %s %d %d %s", id, czxid, mzxid, strings.TrimRight(value, padding))
}

func sayChildren(id string, czxid, pzxid int64, names []string) {
	say("children %s %d %d %s", id, czxid, pzxid, listing(names))
}

// saySet writes the snapshot of a set whose root exists.
func saySet(verb, id string, nodes []history.Node) { say("%s %s %s", verb, id, listSet(nodes)) }

// sayMissing writes the snapshot of a node that does not exist.
func sayMissing(verb, id string) {
	if setVerbs[verb] != "" {
		say("%s %s -", verb, id)
		return
	}
	say("%s %s 0 0 -", verb, id)
}

// sayFailed says that a call has failed, in one line.
func sayFailed(id string, err error) {
	say("failed %s %s", id, oneLine(err))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
