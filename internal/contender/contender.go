// Package contender has what programs share that put client libraries beside each other: a contender is one library
// at work in a process of its own, so that what one costs or breaks is not charged to another. It is given a
// connection string and a session timeout in milliseconds, says "ready", takes commands on its standard input, one a
// line, and says on its standard output, line by line, what there is to say.
package contender

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zkstream/zkstream/internal/foreign"
)

// Run is the main function of a contender that is written in Go. It opens the library, obeys each command, and returns
// the library when there are no more.
func Run[L any](args []string, open func(servers string, timeout time.Duration) (L, error), obey func(lib L, words []string) error) (lib L, err error) {
	if len(args) != 2 {
		return lib, errors.New("usage: SERVERS TIMEOUT_MS")
	}
	timeout, err := strconv.Atoi(args[1])
	if err != nil {
		return lib, err
	}
	if lib, err = open(args[0], time.Duration(timeout)*time.Millisecond); err != nil {
		return lib, err
	}
	Say("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := obey(lib, strings.Split(in.Text(), " ")); err != nil {
			return lib, fmt.Errorf("%s: %w", in.Text(), err)
		}
	}
	return lib, in.Err()
}

var stdout sync.Mutex // held while a line is written

// Say writes a line, from whatever goroutine.
func Say(format string, args ...any) {
	stdout.Lock()
	defer stdout.Unlock()
	fmt.Printf(format+"\n", args...)
}

// Memory returns the bytes that are in use, after a collection: of the heap, and of stacks.
func Memory() (heap, stacks uint64) {
	runtime.GC()
	runtime.GC() // finalizers and pools take a second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// Command makes the command of a contender, and says which version of its library it has. What is built goes into dir.
type Command func(dir string) (cmd *exec.Cmd, version string, err error)

// Self is this program, told by an environment variable which contender to be.
func Self(variable, name string) Command {
	return func(string) (*exec.Cmd, string, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, "", err
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), variable+"="+name)
		return cmd, "", nil
	}
}

// Kazoo is a Python program around kazoo.
func Kazoo(program string) Command {
	return func(string) (*exec.Cmd, string, error) {
		k, err := foreign.FindKazoo()
		if err != nil {
			return nil, "", err
		}
		return k.Command(program), k.Version, nil
	}
}

// Curator is a Java program around Curator, which is one class, in a machine with these flags.
func Curator(class, program string, flags ...string) Command {
	return func(dir string) (*exec.Cmd, string, error) {
		c, err := foreign.FindCurator()
		if err != nil {
			return nil, "", err
		}
		cmd, err := c.Compile(dir, class, program, flags...)
		return cmd, c.Version, err
	}
}
