package ensemble

import (
	"context"
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

// Server returns the server, which the first call starts. Where there is no ZooKeeper, see [Need].
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	Need(t)
	s.once.Do(func() { s.ensemble, s.err = New(context.Background(), 1, s.Options) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.ensemble.Servers()[0]
}

// Close ends the server, if there is one. It is for TestMain.
func (s *Shared) Close() error {
	if s.ensemble == nil {
		return nil
	}
	return s.ensemble.Close()
}
