// Command torture breaks a real ZooKeeper ensemble, in every way that it knows, under clients that are at
// work, and then compares what they saw with what was there. zkstream is one contender, what one would use
// instead are the others: all of them work at the same time, on the same ensemble, under the same faults.
//
//	go run ./internal/torture -for 1h
//
// prints a line for each round, and a table at the end, which it writes as docs/RELIABILITY.md. It exits with 1
// if zkstream broke a promise, and says which, when, and under what; a log of that round is kept.
//
// # A round
//
// Rounds follow from a seed. In each, writers that are connected directly keep creating, changing, deleting
// and creating again the nodes that all contenders watch; services register and withdraw; properties are
// updated by several clients at once. Meanwhile servers are killed and frozen, alone and in turn, and the
// proxies through which each client reaches each server cut, hold, hang, delay and refuse. Then all is
// healed, the writers stop, and the clients get time to come to rest: calmLimit. What is then not as the
// servers have it, counts.
//
// # Contenders
//
// A contender is a program around one client library. It is started once for each client, as
//
//	contender SERVERS TIMEOUT_MS
//
// with a connection string and a session timeout in milliseconds, opens one client and says "ready" when
// that has its first session. From then on it takes commands on its standard input, one a line, and writes
// lines to its standard output, each at once. When its input ends it closes its client and exits. Fields are
// separated by a single space. An ID is a word that the driver chose; values hold no space.
//
//	data ID PATH               keep telling the data of a node
//	children ID PATH           keep telling the names of its children
//	instances ID PATH          keep telling its children with their content
//	tree ID PATH               keep telling the node and all below it, with their content
//	register ID PATH ADDR      keep the ephemeral node PATH/ADDR in place; PATH exists
//	withdraw ID                withdraw that registration
//	update ID PATH KEY VALUE   set one property of a JSON node and keep the others, within 10 s
//	call ID KIND PATH          make one call, within 10 s: create PATH/ID, with content ID; createseq, with a number behind the name; createeph,
//	                           the same and ephemeral; delete PATH; write PATH, replace its content by ID; get PATH; or multi: in
//	                           one transaction create PATH/IDa and PATH/IDb, and replace the content of PATH by ID
//	large ID PATH SIZE         replace a node's content by so many bytes, more than the servers take, within 10 s
//	names MODE                 the name server is to answer, fail, or be silent: for who finds its servers by a name
//	stats                      tell the resources in use
//
// And what it says:
//
//	data ID CZXID MZXID VALUE      a snapshot of data; "data ID 0 0 -" where there is no node
//	children ID CZXID PZXID NAMES  a snapshot of names, as [a,b,c] and sorted; "-" where there is no node
//	instances ID NODES             a snapshot of children, see below; "-" where there is no node
//	tree ID NODES                  the same of a tree
//	end ID REASON...               a stream is over, or its library has given it up
//	registered ID                  once: the library says that it is registered
//	withdrawn ID                   the library has withdrawn it
//	updated ID                     the update was made
//	made ID VERSION              the call was made: PATH had that version then; 0 is for none
//	toolarge ID                    the library says that the content is too large for a server
//	unknown ID REASON...           update or call has failed, and the library does not know whether it was made
//	failed ID REASON...            register, withdraw, update or call has failed
//	session STATE                  connecting, connected, suspended, expired, closed: as the library tells
//	stats GOROUTINES HEAP FDS      threads, in a language without goroutines; 0 is unknown
//	unable COMMAND                 the library has no such feature
//
// NODES are written as [NAME@CZXID.MZXID=VALUE,...], in any order. The node itself has the name ".", and in instances 0 for its
// MZXID and no VALUE; the others have that part of their path which is below it.
//
// Zxids are decimal, and 0 where the library does not tell them. A value is told without the dots at its end, which
// make some values large. What a contender writes to its standard error is kept for the report of its death.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if name := os.Getenv(contenderEnv); name != "" {
		if err := contend(name, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kinds reads a list of faults.
func kinds(list string) (all []kind) {
	for name := range strings.SplitSeq(list, ",") {
		if name != "" {
			all = append(all, kind(name))
		}
	}
	return all
}

func command() error {
	o := options{out: os.Stdout, herd: true}
	flag.DurationVar(&o.length, "for", time.Hour, "how long; the round that is under way then is finished")
	flag.Uint64Var(&o.seed, "seed", 0, "of the schedule; 0 means a new one")
	flag.IntVar(&o.clients, "clients", 2, "clients of each contender")
	flag.StringVar(&o.logs, "logs", filepath.Join(os.TempDir(), "zkstream-torture-logs"), "the folder for the logs of rounds in which zkstream broke a promise")
	flag.BoolVar(&o.keepAll, "keep", false, "keep the logs of all rounds and contenders")
	without := flag.String("without", "", "faults that are left out, such as cut,hang")
	names := flag.String("contenders", strings.Join(everybody(), ","), "who takes part")
	report := flag.String("o", filepath.Join("docs", "RELIABILITY.md"), "the file for the report; none if empty")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000_000) + 1
	}
	o.contenders = strings.Split(*names, ",")
	o.without = kinds(*without)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := torture(ctx, o)
	if result == nil || result.rounds == 0 {
		return errors.Join(err, errors.New("no round was judged"))
	}
	fmt.Fprintf(o.out, "\n%s\n", result.table())
	if *report != "" {
		if err := result.write(*report); err != nil {
			return err
		}
	}
	if broken := result.broken(subject); broken != "" {
		err = errors.Join(err, fmt.Errorf("%s broke promises: %s: see %s", subject, broken, o.logs))
	}
	return err
}
