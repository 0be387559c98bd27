package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	readyLimit = time.Minute      // for a contender to start
	statsLimit = 30 * time.Second // for it to answer
	sendLimit  = 5 * time.Second  // for it to read a command
	exitLimit  = 3 * time.Second  // for it to end when its input has ended
	clock      = "15:04:05.000"   // how times are written
	keepLines  = 20_000           // of the log of two rounds
)

// process is a contender's process.
type process struct {
	cmd   *exec.Cmd
	in    *os.File
	ready chan struct{} // closed when it has said so
	ended chan struct{} // closed when it has ended and was waited for
	log   *record

	mu sync.Mutex // guards in's use
}

// startProcess starts a contender's process. hear is called with each of its lines, from one goroutine.
func startProcess(cmd *exec.Cmd, log *record, hear func(time.Time, line)) (*process, error) {
	p := &process{cmd: cmd, ready: make(chan struct{}), ended: make(chan struct{}), log: log}
	stdin, in, err := os.Pipe() // its writes can have a deadline
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	p.in = in
	cmd.Stdin = stdin
	cmd.Stderr = &lineWriter{write: func(text string) { log.add("stderr", text) }}
	cmd.WaitDelay = exitLimit
	ownGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	// Ends with the process, which end brings about and waits for.
	go p.listen(out, hear)
	return p, nil
}

// listen takes the process's lines, and waits for its end.
func (p *process) listen(out io.Reader, hear func(time.Time, line)) {
	defer close(p.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		now := time.Now()
		p.log.add("says", lines.Text())
		switch l, err := parseLine(lines.Text()); {
		case err != nil:
			p.log.add("driver", err.Error())
		case l.verb == "ready":
			close(p.ready)
		default:
			hear(now, l)
		}
	}
	if err := lines.Err(); err != nil {
		killGroup(p.cmd)
	}
	p.log.add("driver", fmt.Sprintf("the process has ended: %v", p.cmd.Wait()))
}

// send gives the process a command. One that does not read any more is killed.
func (p *process) send(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	p.log.add("told", text)
	_ = p.in.SetWriteDeadline(time.Now().Add(sendLimit))
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		p.log.add("driver", err.Error())
		if p.alive() {
			killGroup(p.cmd)
		}
	}
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end ends the process, politely first, with all that it has started, and waits for it.
func (p *process) end() {
	p.mu.Lock()
	_ = p.in.Close()
	p.mu.Unlock()
	select {
	case <-p.ended:
	case <-time.After(exitLimit):
	}
	killGroup(p.cmd)
	<-p.ended
}

// record is the log of a client, of this round and the one before.
type record struct {
	name string

	mu       sync.Mutex // guards what follows
	old, now []string
}

func (r *record) add(who, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) < keepLines {
		r.now = append(r.now, time.Now().Format(clock)+" "+who+": "+text)
	}
}

// turn begins a round.
func (r *record) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old, r.now = r.now, nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.old, "\n") + "\n-- this round --\n" + strings.Join(r.now, "\n") + "\n"
}

// tail returns the last lines.
func (r *record) tail(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.now[max(0, len(r.now)-n):], "\n")
}

// lineWriter passes what is written on, line by line.
type lineWriter struct {
	write func(string)
	part  string
}

func (w *lineWriter) Write(b []byte) (int, error) {
	lines := strings.Split(w.part+string(b), "\n")
	w.part = lines[len(lines)-1]
	for _, text := range lines[:len(lines)-1] {
		w.write(text)
	}
	return len(b), nil
}
