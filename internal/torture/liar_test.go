package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// liar is a contender that breaks a promise in all that it does, every other time.
type liar struct {
	*rawLib
	calls map[string]int // by kind
}

const liarName = "liar"

func init() {
	libraries[liarName] = func(servers string, timeout time.Duration) (library, error) {
		lib, err := openRaw(servers, timeout)
		if err != nil {
			return nil, err
		}
		return &liar{rawLib: lib.(*rawLib), calls: make(map[string]int)}, nil
	}
	peers = append(peers, peer{liarName, "a liar", self(liarName, "")})
}

// lies reports whether this call is to be a lie: every other call of each kind is, from the first on.
func (l *liar) lies(kind string) bool {
	l.calls[kind]++
	return l.calls[kind]%2 == 1
}

// data tells of a node once and never again.
func (l *liar) data(id, path string) {
	if !l.lies("data") {
		l.rawLib.data(id, path)
		return
	}
	value, stat, err := l.conn.Get(path)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		sayMissing("data", id)
	case err == nil:
		sayData(id, stat.Czxid, stat.Mzxid, string(value))
	}
}

// children tells everything twice.
func (l *liar) children(id, path string) {
	if !l.lies("children") {
		l.rawLib.children(id, path)
		return
	}
	// Ends with the process.
	go l.loop(path, func() (<-chan zk.Event, error) {
		names, stat, events, err := l.conn.ChildrenW(path)
		if err == nil {
			slices.Sort(names)
			sayChildren(id, stat.Czxid, stat.Pzxid, names)
			sayChildren(id, stat.Czxid, stat.Pzxid, names)
		}
		return events, err
	}, func() { sayMissing("children", id) })
}

func (l *liar) register(id, path, addr string) {
	if l.lies("register") {
		say("registered %s", id)
		return
	}
	l.rawLib.register(id, path, addr)
}

func (l *liar) withdraw(id string) {
	if l.lies("withdraw") {
		say("withdrawn %s", id)
		return
	}
	l.rawLib.withdraw(id)
	say("withdrawn %s", id) // also what was never registered
}

func (l *liar) update(ctx context.Context, id, path, key, value string) {
	if value[len(value)-1]%2 == 0 {
		say("updated %s", id)
		return
	}
	l.rawLib.update(ctx, id, path, key, value)
}

// The whole machinery sees what is wrong, on real servers.
func TestTheTortureSeesALiar(t *testing.T) {
	alone(t)
	result, err := torture(t.Context(), options{
		length: calmLimit + 4*time.Second, seed: 5, clients: 2, contenders: []string{liarName},
		logs: filepath.Join(t.TempDir(), "logs"), out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []failure{missed, repeated, lost, undead, unwritten} {
		if result.contenders[0].tally.failures[f] == 0 {
			t.Errorf("%s: none was seen", f)
		}
	}
}
