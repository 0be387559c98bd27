package zktest

import (
	"net"
	"testing"
	"time"
)

func BenchmarkStartToFirstAnswer(b *testing.B) {
	for b.Loop() {
		s, err := New()
		if err != nil {
			b.Fatal(err)
		}
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			b.Fatal(err)
		}
		c := &rawClient{nc: nc}
		if _, err := c.handshake(time.Minute, false); err != nil {
			b.Fatal(err)
		}
		c.ok(b, request{op: OpGetData, path: "/"})
		nc.Close()
		s.Close()
	}
}

// benchmarkRequest measures one request at a time, over TCP and in memory.
func benchmarkRequest(b *testing.B, r request) {
	for _, memory := range []bool{false, true} {
		name := "tcp"
		if memory {
			name = "memory"
		}
		b.Run(name, func(b *testing.B) {
			s := Start(b)
			if err := s.Create("/a", []byte("some data")); err != nil {
				b.Fatal(err)
			}
			c := rawDial(b, s)
			if !memory {
				nc, err := net.Dial("tcp", s.Addr())
				if err != nil {
					b.Fatal(err)
				}
				defer nc.Close()
				c = &rawClient{nc: nc}
			}
			if _, err := c.handshake(time.Minute, false); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.ok(b, r)
			}
		})
	}
}

func BenchmarkGetData(b *testing.B) { benchmarkRequest(b, request{op: OpGetData, path: "/a"}) }

func BenchmarkSetData(b *testing.B) {
	benchmarkRequest(b, request{op: OpSetData, path: "/a", data: []byte("other data"), version: -1})
}

// BenchmarkWatchers measures one write on a node that a thousand clients watch.
func BenchmarkWatchers(b *testing.B) {
	s := Start(b)
	if err := s.Create("/a", nil); err != nil {
		b.Fatal(err)
	}
	var clients []*rawClient
	for range 1000 {
		c := rawSession(b, s, time.Minute)
		c.ok(b, request{op: OpAddWatch, path: "/a"})
		clients = append(clients, c)
	}
	for b.Loop() {
		if err := s.Set("/a", nil); err != nil {
			b.Fatal(err)
		}
		for _, c := range clients {
			c.event(b)
		}
	}
}
