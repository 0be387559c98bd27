package ensemble

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// FourLetter sends one of ZooKeeper's four-letter words, such as "srvr", and
// returns the answer. A stopped server does not answer before ctx ends.
func (s *Server) FourLetter(ctx context.Context, cmd string) (string, error) {
	answer, _, err := s.ask(ctx, cmd)
	return answer, err
}

// ask is FourLetter, and also returns the address that it asked from.
func (s *Server) ask(ctx context.Context, cmd string) (answer, from string, err error) {
	if len(cmd) != 4 {
		return "", "", fmt.Errorf("%v: %q is not a four-letter word", s, cmd)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return "", "", fmt.Errorf("%v: %s: %w", s, cmd, err)
	}
	defer conn.Close()
	// A deadline in the past ends the write and the read.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	text := []byte(nil)
	_, err = io.WriteString(conn, cmd)
	if err == nil {
		text, err = io.ReadAll(conn)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", "", fmt.Errorf("%v: %s: %w", s, cmd, err)
	}
	return string(text), conn.LocalAddr().String(), nil
}

// status asks the server for its mode.
func (s *Server) status(ctx context.Context) status {
	s.mu.Lock()
	running, stopped, ended := s.runningLocked(), s.stopped, s.endedLocked()
	s.mu.Unlock()
	switch {
	case !running:
		return status{server: s, err: ended}
	case stopped:
		return status{server: s, err: errStopped}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := s.FourLetter(ctx, "srvr")
	if err != nil {
		return status{server: s, err: err}
	}
	st := status{server: s}
	for line := range strings.Lines(answer) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Mode":
			st.mode = value
		case "Zxid":
			// The epoch is the upper half of a zxid.
			if zxid, err := strconv.ParseUint(value, 0, 64); err == nil {
				st.epoch = zxid >> 32
			}
		}
	}
	if st.mode == "" {
		st.err = errNotServing
	}
	return st
}

// Stat returns what the word "mntr" tells, by name: zk_server_state,
// zk_watch_count, zk_num_alive_connections, zk_global_sessions and so on.
func (s *Server) Stat(ctx context.Context) (map[string]string, error) {
	answer, err := s.FourLetter(ctx, "mntr")
	if err != nil {
		return nil, err
	}
	stat := parseMntr(answer)
	if len(stat) == 0 {
		return nil, fmt.Errorf("%v: mntr: %w: %q", s, errNotServing, answer)
	}
	return stat, nil
}

func parseMntr(answer string) map[string]string {
	stat := make(map[string]string)
	for line := range strings.Lines(answer) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t"); ok {
			stat[key] = value
		}
	}
	return stat
}

// Watches returns how many sessions watch a path's data or existence through this
// server, from the word "wchp". The server does not tell the paths of child
// watches: see zk_watch_count in Stat, which counts watches of both kinds.
func (s *Server) Watches(ctx context.Context, path string) (int, error) {
	answer, err := s.FourLetter(ctx, "wchp")
	if err != nil {
		return 0, err
	}
	if strings.Contains(answer, "not currently serving") {
		return 0, fmt.Errorf("%v: wchp: %w", s, errNotServing)
	}
	return parseWchp(answer)[path], nil
}

// parseWchp counts the sessions below each path. A path is a line of its own, the
// sessions that watch it follow on lines that begin with a tab.
func parseWchp(answer string) map[string]int {
	watches := make(map[string]int)
	path := ""
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "/"):
			path = line
		case strings.HasPrefix(line, "\t") && path != "":
			watches[path]++
		}
	}
	return watches
}

// Connection is one connection to a server, from the word "cons".
type Connection struct {
	// Addr is the other side's address, "127.0.0.1:port".
	Addr string

	// Session is the ID of the session that uses the connection; 0 before the
	// handshake.
	Session int64

	// Timeout is the negotiated session timeout; 0 before the handshake.
	Timeout time.Duration

	// Fields has all that the server tells: queued, recved, sent, lop and so on.
	Fields map[string]string
}

// Connections returns the connections that the server has, without the one that
// asks.
func (s *Server) Connections(ctx context.Context) ([]Connection, error) {
	answer, from, err := s.ask(ctx, "cons")
	if err != nil {
		return nil, err
	}
	if strings.Contains(answer, "not currently serving") {
		return nil, fmt.Errorf("%v: cons: %w", s, errNotServing)
	}
	var conns []Connection
	for line := range strings.Lines(answer) {
		conn, ok := parseConnection(strings.TrimSpace(line))
		if ok && conn.Addr != from {
			conns = append(conns, conn)
		}
	}
	return conns, nil
}

// parseConnection parses a line such as
//
//	/127.0.0.1:42918[1](queued=0,recved=7,sent=7,sid=0x10000,lop=PING,to=4000)
func parseConnection(line string) (Connection, bool) {
	line, ok := strings.CutPrefix(line, "/")
	if !ok {
		return Connection{}, false
	}
	addr, rest, ok := strings.Cut(line, "[")
	_, fields, ok2 := strings.Cut(rest, "(")
	if !ok || !ok2 {
		return Connection{}, false
	}
	conn := Connection{Addr: addr, Fields: make(map[string]string)}
	for field := range strings.SplitSeq(strings.TrimSuffix(fields, ")"), ",") {
		key, value, _ := strings.Cut(field, "=")
		conn.Fields[key] = value
	}
	if id, err := strconv.ParseUint(conn.Fields["sid"], 0, 64); err == nil {
		conn.Session = int64(id)
	}
	if ms, err := strconv.Atoi(conn.Fields["to"]); err == nil {
		conn.Timeout = time.Duration(ms) * time.Millisecond
	}
	return conn, true
}
