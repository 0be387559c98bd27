// Package testcluster is a drop-in for the TestCluster of package zk, which go-zookeeper had among its exported names up
// to 1.0.2 and its forks still have. That one starts Java processes; this one serves package zktest on free ports of
// 127.0.0.1, so a test needs no ZooKeeper on the machine and begins in a millisecond.
//
//	ts, err := testcluster.StartTestCluster(3, nil, nil)
//	...
//	defer ts.Stop()
//	conn, events, err := ts.ConnectAll()
//
// What that one cannot do, expire a session or lose an answer, is in TestCluster.Ensemble.
package testcluster

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkstream/zkstream/zktest"
)

// connectTimeout is the session timeout of Connect and ConnectAll. The servers grant 10 s of it.
const connectTimeout = 15 * time.Second

// TestCluster is an ensemble of servers that listen on 127.0.0.1.
type TestCluster struct {
	Path     string // always "": nothing is on disk
	Servers  []TestServer
	Ensemble *zktest.Ensemble
}

// TestServer is one server of a TestCluster.
type TestServer struct {
	Port int
	Path string // always ""
	Srv  *Server
}

// Server is the process of a TestServer, so to speak.
type Server struct{ server *zktest.Server }

// Start starts the server again after Stop, with its data. The error is always nil.
func (s *Server) Start() error {
	s.server.Stop(false)
	return nil
}

// Stop ends the server until Start. Its port stays its own: connections are accepted and reset. The error is
// always nil.
func (s *Server) Stop() error {
	s.server.Stop(true)
	return nil
}

// StartTestCluster starts size servers with the settings of go-zookeeper's: a tick of 500 ms, and TTL nodes allowed. Their
// log goes to stdout, unless that is nil; stderr gets nothing.
func StartTestCluster(size int, stdout, stderr io.Writer) (*TestCluster, error) {
	opts := []zktest.Option{
		zktest.WithAddr("127.0.0.1:0"), zktest.WithTickTime(500 * time.Millisecond), zktest.WithExtendedTypes(),
	}
	if stdout != nil {
		opts = append(opts, zktest.WithLogger(slog.New(slog.NewTextHandler(stdout, nil))))
	}
	ensemble, err := zktest.NewEnsemble(size, opts...)
	if err != nil {
		return nil, err
	}
	tc := &TestCluster{Ensemble: ensemble}
	for _, s := range ensemble.Members() {
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		tc.Servers = append(tc.Servers, TestServer{Port: n, Srv: &Server{s}})
	}
	return tc, nil
}

// Connect connects to one server.
func (tc *TestCluster) Connect(idx int) (*zk.Conn, <-chan zk.Event, error) {
	return zk.Connect([]string{tc.Servers[idx].addr()}, connectTimeout)
}

// ConnectAll connects to any of the servers.
func (tc *TestCluster) ConnectAll() (*zk.Conn, <-chan zk.Event, error) {
	return tc.ConnectAllTimeout(connectTimeout)
}

// ConnectAllTimeout is ConnectAll with a session timeout.
func (tc *TestCluster) ConnectAllTimeout(sessionTimeout time.Duration) (*zk.Conn, <-chan zk.Event, error) {
	return tc.ConnectWithOptions(sessionTimeout)
}

// ConnectWithOptions is ConnectAllTimeout with options such as zk.WithLogger gives.
func (tc *TestCluster) ConnectWithOptions(sessionTimeout time.Duration, options ...func(*zk.Conn)) (*zk.Conn, <-chan zk.Event, error) {
	var hosts []string
	for _, s := range tc.Servers {
		hosts = append(hosts, s.addr())
	}
	return zk.Connect(hosts, sessionTimeout, func(c *zk.Conn) {
		for _, option := range options {
			option(c)
		}
	})
}

func (s TestServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Stop ends all servers for good. The error is always nil.
func (tc *TestCluster) Stop() error { return tc.Ensemble.Close() }

// StartServer starts the server again that StopServer has stopped. It panics if no server has the port of the address.
func (tc *TestCluster) StartServer(server string) { tc.find(server).Srv.Start() }

// StopServer ends a server until StartServer. It panics if no server has the port of the address.
func (tc *TestCluster) StopServer(server string) { tc.find(server).Srv.Stop() }

func (tc *TestCluster) find(server string) TestServer {
	for _, s := range tc.Servers {
		if strings.HasSuffix(server, fmt.Sprintf(":%d", s.Port)) {
			return s
		}
	}
	panic("testcluster: unknown server: " + server)
}

// StartAllServers starts all servers again. The error is always nil.
func (tc *TestCluster) StartAllServers() error {
	for _, s := range tc.Servers {
		s.Srv.Start()
	}
	return nil
}

// StopAllServers ends all servers until they are started again. The error is always nil.
func (tc *TestCluster) StopAllServers() error {
	for _, s := range tc.Servers {
		s.Srv.Stop()
	}
	return nil
}
