// Command terminal draws docs/terminal.svg: what the command zkstream writes in three terminals while a server in one of them is
// ended, loses everything, and is started again. It runs the commands that it shows; it takes 20 seconds.
//
//	cd cmd/zkstream && go run ./internal/terminal
package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	treeText = `/databases
  /main
    host = 'db1'
/search : service
  threads = 8
  database -> /databases/main
  /providers
`
	// search stands for the program of a user.
	search = `#!/bin/sh
echo "serving on $2"
trap 'echo "draining"; exit 0' TERM
while :; do sleep 0.1; done
`
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "terminal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "zkstream"), ".")
	build.Stderr = os.Stderr
	for _, err := range []error{
		build.Run(),
		os.WriteFile(filepath.Join(dir, "tree.txt"), []byte(treeText), 0o600),
		os.WriteFile(filepath.Join(dir, "search"), []byte(search), 0o700),
	} {
		if err != nil {
			log.Fatal(err)
		}
	}
	panes := play(dir)
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "terminal.svg"), []byte(draw(panes)), 0o666); err != nil {
		log.Fatal(err)
	}
}

// play runs the commands, and returns what stands in each terminal.
func play(dir string) []*pane {
	one := &pane{dir: dir, title: "terminal 1: a ZooKeeper in memory"}
	two := &pane{dir: dir, title: "terminal 2: who is there?"}
	three := &pane{dir: dir, title: "terminal 3: a server that is registered while it runs"}

	server := one.start("zkstream serve tree.txt")
	one.await("127.0.0.1:2181")
	two.run("zkstream tree /search")
	two.run("zkstream servers")
	watch := two.start("zkstream watch --children /search/providers")
	two.await("0 children")
	register := three.start("zkstream register /search/providers 10.0.0.5:8080 weight=3 -- ./search --listen :8080")
	three.await("serving")
	two.await("+10.0.0.5:8080")
	server.interrupt("^C")
	two.await("is lost")
	one.add("note", "# all data and sessions are gone")
	server = one.start("zkstream serve tree.txt")
	two.await("new session")
	two.await("1 child")
	register.interrupt("# kill, from elsewhere")
	three.await("withdrawn")
	two.await("-10.0.0.5:8080")
	watch.interrupt("^C")
	server.interrupt("")
	return []*pane{one, two, three}
}

// pane is a terminal.
type pane struct {
	dir, title string

	mu     sync.Mutex
	lines  []line
	looked int // lines that await has looked at
}

type line struct{ class, text string }

func (p *pane) add(class, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line{class, text})
}

// await waits for a line that has not been looked at yet, with that text in it.
func (p *pane) await(text string) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		for i := p.looked; i < len(p.lines); i++ {
			if l := p.lines[i]; l.class != "prompt" && strings.Contains(l.text, text) {
				p.looked = i + 1
				p.mu.Unlock()
				time.Sleep(200 * time.Millisecond) // what belongs to it
				return
			}
		}
		p.mu.Unlock()
	}
	fail(fmt.Errorf("%s: no %q in %v", p.title, text, p.lines))
}

// started are the processes that fail has to end.
var started []*process

func fail(err error) {
	for _, x := range started {
		x.cmd.Process.Kill()
	}
	log.Fatal(err)
}

type process struct {
	pane *pane
	cmd  *exec.Cmd
	read sync.WaitGroup
}

// start runs a command line without quotes.
func (p *pane) start(commandLine string) *process {
	p.add("prompt", "$ "+commandLine)
	words := strings.Fields(commandLine)
	x := &process{pane: p, cmd: exec.Command(filepath.Join(p.dir, words[0]), words[1:]...)}
	x.cmd.Dir = p.dir
	x.cmd.Env = append(os.Environ(), "ZKSTREAM_CONFIG="+os.DevNull)
	stdout, err := x.cmd.StdoutPipe()
	if err != nil {
		fail(err)
	}
	stderr, err := x.cmd.StderrPipe()
	if err != nil {
		fail(err)
	}
	if err := x.cmd.Start(); err != nil {
		fail(err)
	}
	started = append(started, x)
	x.read.Go(func() { p.copy("out", stdout) })
	x.read.Go(func() { p.copy("err", stderr) })
	return x
}

func (p *pane) copy(class string, r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		p.add(class, lines.Text())
	}
}

func (p *pane) run(commandLine string) {
	x := p.start(commandLine)
	x.read.Wait()
	if err := x.cmd.Wait(); err != nil {
		fail(fmt.Errorf("%s: %w", commandLine, err))
	}
}

// interrupt ends a command by a signal, which note stands for; "" for none.
func (x *process) interrupt(note string) {
	if note != "" {
		x.pane.add("note", note)
	}
	signal := os.Signal(os.Interrupt)
	if strings.Contains(note, "kill") {
		signal = syscall.SIGTERM
	}
	x.cmd.Process.Signal(signal)
	x.read.Wait()
	if err := x.cmd.Wait(); err != nil {
		fail(fmt.Errorf("%v: %w", x.cmd, err))
	}
}

const (
	columns    = 88
	charWidth  = 8.43 // of the font at its size, about
	lineHeight = 19
	margin     = 14
	titleLine  = 30
)

// draw returns the terminals as a picture, one below the other.
func draw(panes []*pane) string {
	var b strings.Builder
	width := columns*charWidth + 2*margin
	y := 0
	for _, p := range panes {
		height := titleLine + len(p.lines)*lineHeight + margin
		fmt.Fprintf(&b, `<rect x="0.5" y="%d.5" width="%.0f" height="%d" rx="8" class="pane"/>`+"\n", y, width-1, height)
		fmt.Fprintf(&b, `<text x="%d" y="%d" class="title">%s</text>`+"\n", margin, y+20, html.EscapeString(p.title))
		for i, l := range p.lines {
			fmt.Fprintf(&b, `<text x="%d" y="%d" class="%s" xml:space="preserve">%s</text>`+"\n",
				margin, y+titleLine+(i+1)*lineHeight-5, l.class, html.EscapeString(l.text))
		}
		y += height + 10
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" aria-label="zkstream in three terminals">
<style>
.pane{fill:#0d1117;stroke:#30363d}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9}
.title{fill:#8b949e;font-size:12px}
.prompt{fill:#7ee787}
.err{fill:#d29922}
.note{fill:#8b949e}
</style>
%s</svg>
`, width, y-9, width, y-9, b.String())
}
