package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressDelay is how long something takes before there is a bar.
const progressDelay = 500 * time.Millisecond

// progress is a bar on the standard error for what takes long, if that is a terminal. Its methods may be called from several
// goroutines, and do nothing if it is nil.
type progress struct {
	mu       sync.Mutex
	c        *cli
	label    string
	began    time.Time
	bar      *progressbar.ProgressBar // nil until the delay has passed
	finished bool
}

// progress returns nil where nobody would see it.
func (c *cli) progress(label string) *progress {
	if !c.terminal(c.stderr) {
		return nil
	}
	return &progress{c: c, label: label, began: time.Now()}
}

// set shows how much is done.
func (p *progress) set(done, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished || p.bar == nil && time.Since(p.began) < progressDelay {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.c.stderr),
			progressbar.OptionSetDescription(p.label),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	p.bar.ChangeMax(total)
	p.bar.Set(done)
}

// finish takes the bar away.
func (p *progress) finish() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished = true; p.bar != nil {
		p.bar.Clear()
	}
}
