// Package nameserver is a name server in memory, for tests of what happens when names have several
// addresses, and when the resolver is slow, wrong or gone.
//
// Its [Server.Resolver] is a net.Resolver that asks it, without a socket; so it may be used in a
// testing/synctest bubble.
package nameserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Package net makes a channel when it first reads the machine's configuration. Made in one synctest bubble, it
// could not be used in another, so that happens here, before any.
func init() {
	new(Server).Resolver().LookupHost(context.Background(), "first.test")
}

// Server answers questions for addresses. The zero Server knows no name.
type Server struct {
	mu     sync.Mutex // guards what follows
	addrs  map[string][]netip.Addr
	mode   Mode
	asked  map[string]time.Time // questions, and when each was left without an answer last
	parked int                  // connections on which one is, and whose asker still waits
}

// Mode is how a Server treats questions.
type Mode int

const (
	Answer Mode = iota // with the addresses; a name without any does not exist
	Fail               // with SERVFAIL
	Silent             // not at all

	// FirstDead answers as the second of two name servers, of which the first is dead: a question is answered
	// when it comes again five seconds later. Go's resolver then turns to the second.
	FirstDead
)

// Go's resolver asks again after five seconds, if the machine's configuration does not say otherwise.
const (
	againMin = 4 * time.Second
	againMax = 6 * time.Second
)

// Set sets the addresses of a name, which are given in that order. A name without addresses does not exist.
func (s *Server) Set(name string, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addrs == nil {
		s.addrs = map[string][]netip.Addr{}
	}
	var parsed []netip.Addr
	for _, a := range addrs {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	s.addrs[canonical(name)] = parsed
}

// SetMode says how questions are treated from now on.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// Waiting returns how many connections there are on which a question has no answer.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parked
}

// Resolver returns a resolver that asks this server, after the hosts file.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.dial}
}

func (s *Server) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(server) // ends when the resolver closes its end
	return client, nil
}

// serve answers the questions on a connection, each of which is preceded by its length, as over TCP.
func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(r, question); err != nil {
			return
		}
		answer := s.answer(question)
		if answer == nil {
			s.park(+1)
			io.Copy(io.Discard, r)
			s.park(-1)
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (s *Server) park(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked += n
}

// silentLocked reports whether a question is to be left without an answer.
func (s *Server) silentLocked(question []byte) bool {
	if s.mode != FirstDead {
		return s.mode == Silent
	}
	key := string(question[2:]) // without its ID, which differs each time
	waited := time.Since(s.asked[key])
	if againMin <= waited && waited <= againMax {
		delete(s.asked, key)
		return false
	}
	if s.asked == nil {
		s.asked = map[string]time.Time{}
	}
	s.asked[key] = time.Now()
	return true
}

// Parts of a DNS message (RFC 1035).
const (
	header       = 12 // bytes: ID, flags, and four counts
	typeA        = 1
	typeAAAA     = 28
	classIN      = 1
	flagsAnswer  = 0x8180 // an answer, recursion desired and available
	rcodeFailed  = 2
	rcodeNoName  = 3
	nameOfAsked  = 0xc000 | header // a pointer to the question's name
	secondsToUse = 60
)

// answer returns the answer to a question, or nil if there is to be none.
func (s *Server) answer(question []byte) []byte {
	name, end := parseName(question)
	if name == "" || len(question) < end+4 {
		return nil
	}
	kind := binary.BigEndian.Uint16(question[end:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silentLocked(question) {
		return nil
	}
	all := s.addrs[name]
	flags := uint16(flagsAnswer)
	switch {
	case s.mode == Fail:
		flags |= rcodeFailed
		all = nil
	case len(all) == 0:
		flags |= rcodeNoName
	}
	found := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is4() != (kind == typeA) })
	if kind != typeA && kind != typeAAAA {
		found = nil
	}
	b := slices.Clone(question[:2]) // the ID
	for _, n := range []uint16{flags, 1, uint16(len(found)), 0, 0} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = append(b, question[header:end+4]...)
	for _, a := range found {
		for _, n := range []uint16{nameOfAsked, kind, classIN, 0, secondsToUse, uint16(a.BitLen() / 8)} {
			b = binary.BigEndian.AppendUint16(b, n)
		}
		b = append(b, a.AsSlice()...)
	}
	return b
}

// parseName returns the name that a question is about, and where its encoding ends; "" if it is malformed.
func parseName(question []byte) (name string, end int) {
	var labels []string
	for i := header; i < len(question); {
		n := int(question[i])
		if i++; n == 0 {
			return canonical(strings.Join(labels, ".")), i
		}
		if i+n > len(question) {
			return "", 0
		}
		labels = append(labels, string(question[i:i+n]))
		i += n
	}
	return "", 0
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
