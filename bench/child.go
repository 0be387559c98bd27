package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// child is a contender's process.
type child struct {
	title   string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan string   // closed when the process has ended
	all     chan delivery // what it said of its own accord
	stderr  bytes.Buffer  // may be read when answers is closed
}

// delivery says that all consumers had the snapshot with the tag at a time.
type delivery struct{ tag, at int64 }

// patience is how long a contender may take for anything.
const patience = 3 * time.Minute

// begin starts a contender, with more in its environment. The caller must call end.
func (p *peer) begin(servers string, timeout time.Duration, env ...string) (*child, error) {
	cmd := exec.Command(p.cmd.Path, append(p.cmd.Args[1:], servers, strconv.FormatInt(timeout.Milliseconds(), 10))...)
	cmd.Env = append(slices.Clip(p.cmd.Env), env...)
	c := &child{title: p.title, cmd: cmd, answers: make(chan string, 1), all: make(chan delivery, 1024)}
	cmd.Stderr = &c.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.in = in
	// Ends with the process, which end brings about and waits for.
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var d delivery
			if n, _ := fmt.Sscanf(lines.Text(), "all %d %d", &d.tag, &d.at); n == 2 {
				c.all <- d
			} else {
				c.answers <- lines.Text()
			}
		}
		_ = cmd.Wait() // what it says counts, and its standard error
		close(c.answers)
	}()
	if _, err := c.answer("ready"); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// ask sends a command and returns the numbers of the answer.
func (c *child) ask(want, format string, args ...any) ([]float64, error) {
	if _, err := fmt.Fprintf(c.in, format+"\n", args...); err != nil {
		return nil, c.failed(err)
	}
	return c.answer(want)
}

func (c *child) answer(want string) ([]float64, error) {
	select {
	case line, ok := <-c.answers:
		if !ok {
			return nil, c.failed(errors.New("it has ended"))
		}
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != want {
			return nil, c.failed(fmt.Errorf("it said %q", line))
		}
		var numbers []float64
		for _, word := range words[1:] {
			x, err := strconv.ParseFloat(word, 64)
			if err != nil {
				return nil, c.failed(err)
			}
			numbers = append(numbers, x)
		}
		return numbers, nil
	case <-time.After(patience):
		return nil, c.failed(fmt.Errorf("no %q in %v", want, patience))
	}
}

// await waits until all consumers have the tag, and returns when the last one got it.
func (c *child) await(tag int64) (at int64, err error) {
	limit := time.After(patience)
	for {
		select {
		case d := <-c.all:
			if d.tag >= tag {
				return d.at, nil
			}
		case _, open := <-c.answers:
			return 0, c.failed(fmt.Errorf("it has ended (%v)", !open))
		case <-limit:
			return 0, c.failed(fmt.Errorf("not all of its streams got what was written in %v", patience))
		}
	}
}

func (c *child) failed(err error) error {
	c.end()
	text := strings.TrimSpace(c.stderr.String())
	if len(text) > 500 {
		text = text[:500]
	}
	return fmt.Errorf("%s: %w %s", c.title, err, text)
}

// end ends the process and waits for it. It may be called more than once.
func (c *child) end() {
	_ = c.in.Close() // at which it ends by itself
	kill := time.AfterFunc(2*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	for {
		select {
		case _, ok := <-c.answers:
			if !ok {
				return
			}
		case <-c.all:
		}
	}
}

// The commands, in the driver's words.

// number asks for what is answered with one number.
func (c *child) number(want, format string, args ...any) (float64, error) {
	v, err := c.ask(want, format, args...)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

func (c *child) cpu() (float64, error) { return c.number("cpu", "cpu") }

func (c *child) mem() (bytes, goroutines float64, err error) {
	v, err := c.ask("mem", "mem")
	if err != nil {
		return 0, 0, err
	}
	return v[0], v[1], nil
}

func (c *child) pipeline(op, format string, first, n int) (float64, error) {
	return c.number("took", "pipeline %s %s %d %d", op, format, first, n)
}
