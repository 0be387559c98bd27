package ensemble

import (
	"context"
	"os"
	"sync"
	"testing"
)

// Shared is one server for all tests of a package that leave it as it is, or break only the network before
// it. The zero value is ready to use.
type Shared struct {
	Options Options

	once     sync.Once
	ensemble *Ensemble
	err      error
}

// Server returns the server, which the first call starts. Without a ZooKeeper on
// this machine, t is skipped, or fails where one is required, as by [Start].
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() {
		if _, s.err = Find(); s.err == nil {
			s.ensemble, s.err = New(context.Background(), 1, s.Options)
		}
	})
	switch {
	case s.err == nil:
		return s.ensemble.Servers()[0]
	case os.Getenv(requireVariable) != "":
		t.Fatalf("ensemble: %v", s.err)
	default:
		t.Skipf("ensemble: no real ZooKeeper: %v", s.err)
	}
	return nil
}

// Close ends the server, if there is one. It is for TestMain.
func (s *Shared) Close() error {
	if s.ensemble == nil {
		return nil
	}
	return s.ensemble.Close()
}
