package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-kit/kit/sd"
	kitzk "github.com/go-kit/kit/sd/zk"
	"github.com/go-kit/log"
)

// gokitLib is go-kit's service discovery. It has no other streams than of a node's children, and reads the
// content of each child, too: that is where it keeps its instances.
type gokitLib struct {
	client    kitzk.Client
	instancer *kitzk.Instancer // of the node that consumers share
}

func newGokit(servers string, timeout time.Duration) (library, error) {
	client, err := kitzk.NewClient(strings.Split(servers, ","), log.NewNopLogger(), kitzk.SessionTimeout(timeout))
	return &gokitLib{client: client}, err
}

// share has one instancer, as go-kit's users would, and a channel for each consumer.
func (g *gokitLib) share(_, path string, n int, t *tracker) (err error) {
	if g.instancer == nil {
		if g.instancer, err = kitzk.NewInstancer(g.client, path, log.NewNopLogger()); err != nil {
			return err
		}
	}
	for range n {
		consume(g.instancer, t)
	}
	return nil
}

// open opens several instancers at a time: each waits for its first answer.
func (g *gokitLib) open(_ string, paths []string, t *tracker) error {
	// Ends when all are open.
	go func() {
		err := parallel(len(paths), func(i int) error {
			instancer, err := kitzk.NewInstancer(g.client, paths[i], log.NewNopLogger())
			if err == nil {
				consume(instancer, t)
			}
			return err
		})
		if err != nil {
			panic(err)
		}
	}()
	return nil
}

func consume(instancer *kitzk.Instancer, t *tracker) {
	ch := make(chan sd.Event, 1)
	got := t.consumer()
	instancer.Register(ch)
	// Ends with the process.
	go func() {
		for ev := range ch {
			if ev.Err == nil {
				got(max(childTag(ev.Instances), 0))
			}
		}
	}()
}

func (g *gokitLib) second(_, path string, n int) error {
	for range n {
		instancer, err := kitzk.NewInstancer(g.client, path, log.NewNopLogger())
		if err != nil {
			return err
		}
		ch := make(chan sd.Event, 1)
		instancer.Register(ch)
		if ev := <-ch; ev.Err != nil {
			return fmt.Errorf("instancer: %w", ev.Err)
		}
	}
	return nil
}
