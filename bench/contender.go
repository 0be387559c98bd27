package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zkstream/zkstream/internal/contender"
)

// Each contender answers each line on its standard input with one line: see package contender. The programs in
// foreign/ do the same in their languages.
//
//	share KIND PATH N          N more consumers on one node                   ok TIME
//	open KIND FORMAT FIRST N   one stream on each of N nodes                  ok TIME
//	second KIND PATH N         a stream, then N more on its node, one by one  second NS ALLOCATIONS
//	pipeline OP FORMAT FIRST N N requests, 64 at a time                       took NS
//	pipelinetree KIND PATH N   as many requests as a tree takes, 64 at a time took NS
//	calls OP PATH N WIDTH      N calls, WIDTH at a time                       took NS
//	once FORMAT N              N nodes read once, by 16 goroutines: a stream  took NS
//	                           that is opened and closed again, or a Get
//	busy FORMAT N              the usual time of a Get, and the slowest while busy NS NS NS
//	                           content and children of N nodes are opened: by
//	                           the library, and on a connection of its own
//	tree PATH                  a stream on a whole tree                       ok TIME
//	trees PATH N               N of them, until all have their first snapshot took NS
//	instances PATH             a stream on a node's children with content     ok TIME
//	import PATH N              a tree made: by zktree, or by single creates   took NS
//	plan PATH N                zktree's plan over it, or as many Gets         took NS
//	nodes                      how many nodes the tree or the children have   nodes N
//	snapshots                  how many snapshots streams have been given     snapshots N
//	allocated                  bytes ever allocated                           allocated N
//	mem                        memory and goroutines (threads) in use         mem BYTES N
//	cpu                        processor time of the process so far           cpu NS
//	profile FILE, profile      begin and end a CPU profile                    ok
//	heap FILE                  write a heap profile                           ok
//
// KIND is data, children or properties. Of its own accord it says "all TAG TIME" when each consumer has
// got the snapshot that holds TAG, the newest number that was written. TIME is in nanoseconds since
// 1970, on the clock that all processes share.

const (
	contenderEnv = "ZKSTREAM_BENCH_CONTENDER" // which contender this process is, if it is one
	inFlight     = 64                         // requests at a time, of a pipeline; also zkstream's default
)

// library is what a contender written in Go has to do.
type library interface {
	// share has n consumers watch one node, each with a goroutine of its own.
	share(kind, path string, n int, t *tracker) error
	// open has all nodes watched.
	open(kind string, paths []string, t *tracker) error
	// second opens n streams on one node, one by one, each until it has its first snapshot.
	second(kind, path string, n int) error
}

var libraries = map[string]func(servers string, timeout time.Duration) (library, error){
	"zkstream": newZkstream,
	"raw":      newRaw,
	"gokit":    newGokit,
	"channels": newChannels,
	"floor":    newFloor,
}

// contend is the main function of a contender's process. It ends when its standard input does.
func contend(name string, args []string) error {
	t := &tracker{}
	_, err := contender.Run(args, libraries[name], func(lib library, words []string) error {
		answer, err := obey(lib, t, words)
		if err == nil {
			contender.Say("%s", answer)
		}
		return err
	})
	return err
}

func obey(lib library, t *tracker, words []string) (string, error) {
	begin := time.Now()
	ok := fmt.Sprintf("ok %d", begin.UnixNano())
	switch words[0] {
	case "share":
		n := number(words[3])
		t.want.Add(n)
		return ok, lib.share(words[1], words[2], int(n), t)
	case "open":
		paths := paths(words[2], number(words[3]), number(words[4]))
		t.want.Add(int64(len(paths)))
		return ok, lib.open(words[1], paths, t)
	case "second":
		var before, after runtime.MemStats
		n := number(words[3])
		if err := lib.second(words[1], words[2], 1); err != nil {
			return "", err
		}
		runtime.ReadMemStats(&before)
		begin = time.Now()
		err := lib.second(words[1], words[2], int(n))
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		return fmt.Sprintf("second %d %.2f", took.Nanoseconds()/n, float64(after.Mallocs-before.Mallocs)/float64(n)), err
	case "pipeline":
		paths := paths(words[2], number(words[3]), number(words[4]))
		begin = time.Now()
		err := lib.(*floor).pipeline(words[1], paths)
		return fmt.Sprintf("took %d", time.Since(begin).Nanoseconds()), err
	case "pipelinetree":
		l := leaves{top: words[2], n: int(number(words[3])), flat: words[1] == "instances"}
		paths, op := l.all(), "nodes"
		if l.flat {
			paths, op = paths[1:], "getw"
		}
		begin = time.Now()
		err := lib.(*floor).pipeline(op, paths)
		return fmt.Sprintf("took %d", time.Since(begin).Nanoseconds()), err
	case "calls":
		took, err := makeCalls(lib, words[1], words[2], int(number(words[3])), int(number(words[4])))
		return fmt.Sprintf("took %d", took.Nanoseconds()), err
	case "once":
		took, err := readOnce(lib, paths(words[1], 0, number(words[2])))
		return fmt.Sprintf("took %d", took.Nanoseconds()), err
	case "busy":
		usual, slowest, beside, err := getsWhileOpening(lib, paths(words[1], 0, number(words[2])))
		return fmt.Sprintf("busy %d %d %d", usual.Nanoseconds(), slowest.Nanoseconds(), beside.Nanoseconds()), err
	case "tree", "instances":
		t.want.Add(1)
		lib.(*zkstreamLib).openTree(words[0], words[1], t)
		return ok, nil
	case "trees":
		begin = time.Now()
		err := lib.(*zkstreamLib).trees(words[1], int(number(words[2])))
		return fmt.Sprintf("took %d", time.Since(begin).Nanoseconds()), err
	case "import", "plan":
		i, l := lib.(importer), leaves{top: words[1], n: int(number(words[2]))}
		do := i.importTree
		if words[0] == "plan" {
			do = i.planTree
		}
		took, err := do(l)
		return fmt.Sprintf("took %d", took.Nanoseconds()), err
	case "nodes":
		return fmt.Sprintf("nodes %d", lib.(*zkstreamLib).nodes.Load()), nil
	case "snapshots":
		return fmt.Sprintf("snapshots %d", lib.(*zkstreamLib).client.Stats().Snapshots), nil
	case "allocated":
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return fmt.Sprintf("allocated %d", m.TotalAlloc), nil
	case "mem":
		heap, stacks := contender.Memory()
		return fmt.Sprintf("mem %d %d", heap+stacks, runtime.NumGoroutine()), nil
	case "cpu":
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return fmt.Sprintf("cpu %d", u.Utime.Nano()+u.Stime.Nano()), err
	case "profile":
		if len(words) == 1 {
			pprof.StopCPUProfile()
			return ok, nil
		}
		return ok, toFile(words[1], pprof.StartCPUProfile) // which writes when it is stopped
	case "heap":
		runtime.GC()
		return ok, toFile(words[1], pprof.WriteHeapProfile)
	}
	return "", fmt.Errorf("no such command")
}

func toFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name) // closed with the process: a CPU profile goes on being written
	if err != nil {
		return err
	}
	return write(f)
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err) // the other side of the protocol is this program, too
	}
	return n
}

func paths(format string, first, n int64) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, first+int64(i))
	}
	return all
}

// tracker notices when each of the consumers has got the newest tag.
type tracker struct {
	want  atomic.Int64  // consumers
	state atomic.Uint64 // tag<<32 + how many have it
}

// consumer returns what one consumer is to call with the tag of each snapshot.
func (t *tracker) consumer() func(tag int64) {
	last := int64(-1)
	return func(tag int64) {
		if tag > last {
			last = tag
			t.got(uint64(tag))
		}
	}
}

func (t *tracker) got(tag uint64) {
	for {
		old := t.state.Load()
		next := old + 1
		if tag < old>>32 {
			return
		} else if tag > old>>32 {
			next = tag<<32 + 1
		}
		if t.state.CompareAndSwap(old, next) {
			if int64(uint32(next)) == t.want.Load() {
				t.all(int64(tag))
			}
			return
		}
	}
}

func (t *tracker) all(tag int64) { contender.Say("all %d %d", tag, time.Now().UnixNano()) }

// dataTag returns the tag in a node's content.
func dataTag(data []byte) int64 { return number(string(bytes.TrimRight(data, " "))) } // large nodes are filled with blanks

// childTag returns the tag in the names of a node's children: that of the one child.
func childTag(names []string) int64 {
	if len(names) != 1 {
		return -1
	}
	return number(names[0])
}

// jsonTag decodes a node's content as a service would.
func jsonTag(data []byte) int64 {
	var v struct{ Tag int64 }
	if err := json.Unmarshal(data, &v); err != nil {
		panic(err)
	}
	return v.Tag
}
