package zkstream_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// readWhileOthersAre opens streams on /n0 to /n3, then on the paths, of which there are more than are read one by one. So they are
// read by a batch, whose answer comes while a read of /last is under way. It returns the streams on the paths once they have been read, and the paths that SetWatches names.
func readWhileOthersAre(t *testing.T, server *zktest.Server, c *zkstream.Client, paths ...string) (streams []*zkstream.Stream[zkstream.Data], set func() []string) {
	t.Helper()
	plant(t, server, "/n0", "/n1", "/n2", "/n3", "/last")
	var mu sync.Mutex
	var named []string
	server.Intercept(func(r zktest.Request) zktest.Fault {
		switch {
		case r.Op == zktest.OpSetWatches:
			mu.Lock()
			defer mu.Unlock()
			named = append(named, r.Paths...)
		case reads(r, "/n0"), reads(r, paths[0]):
			return zktest.Fault{Delay: 100 * time.Millisecond}
		case reads(r, "/last"):
			return zktest.Fault{Delay: time.Second}
		}
		return zktest.Fault{}
	})
	for i := range 4 {
		c.Data(t.Context(), fmt.Sprint("/n", i))
	}
	for _, path := range paths {
		streams = append(streams, c.Data(t.Context(), path))
	}
	time.Sleep(150 * time.Millisecond)
	c.Data(t.Context(), "/last")
	time.Sleep(100 * time.Millisecond)
	return streams, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Sorted(slices.Values(named))
	}
}

func TestStreamsOfABatchThatAreReadOnceLeaveNoWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/b", "/c", "/d")
		streams, set := readWhileOthersAre(t, server, c, "/a", "/b", "/c", "/d")
		for _, s := range streams {
			next(t, s)
			s.Close()
		}
		time.Sleep(2 * time.Second)
		same(t, "the watches set apart", fmt.Sprint(set()), "[/last /n1 /n2 /n3]")
		st := server.Stats()
		same(t, "watches", st.DataWatches, 5)
		same(t, "removals", st.Requests[zktest.OpRemoveWatches], 0)
		same(t, "parked", c.Stats().Data.Parked, 0)
	})
}

func TestAChangeBeforeTheWatchOfABatchIsSetIsDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/b", "/c", "/d")
		streams, set := readWhileOthersAre(t, server, c, "/a", "/b", "/c", "/d")
		same(t, "the first snapshot", next(t, streams[1]).String(), "/b")
		same(t, "the watches set apart", fmt.Sprint(set()), "[/n1 /n2 /n3]")
		if err := server.Set("/b", []byte("new")); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		same(t, "the next snapshot", next(t, streams[1]).String(), "new")
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// parkedOne returns with a watch on /p parked, which one stream has left.
func parkedOne(t *testing.T, server *zktest.Server, c *zkstream.Client) {
	t.Helper()
	plant(t, server, "/p")
	s := c.Data(t.Context(), "/p")
	next(t, s)
	s.Close()
	same(t, "parked", c.Stats().Data.Parked, 1)
}

func TestAParkedWatchThatABatchReadsIsNotSetAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		parkedOne(t, server, c)
		plant(t, server, "/a", "/b", "/c")
		streams, set := readWhileOthersAre(t, server, c, "/a", "/p", "/b", "/c")
		time.Sleep(2 * time.Second)
		same(t, "the watches set apart", fmt.Sprint(set()), "[/a /b /c /last /n1 /n2 /n3]")
		next(t, streams[1])
		if err := server.Set("/p", []byte("new")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		same(t, "the next snapshot", next(t, streams[1]).String(), "new")
	})
}

func TestAParkedWatchIsParkedAgainWhoseStreamIsClosedUnread(t *testing.T) {
	for _, when := range []struct {
		state   string
		elapsed time.Duration
	}{{"stale", 0}, {"asked", 150 * time.Millisecond}} {
		t.Run(when.state, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				parkedOne(t, server, c)
				plant(t, server, "/n0", "/n1", "/n2", "/n3")
				server.Intercept(func(r zktest.Request) zktest.Fault {
					return zktest.Fault{Delay: 100 * time.Millisecond}
				})
				for i := range 4 {
					c.Data(t.Context(), fmt.Sprint("/n", i))
				}
				s := c.Data(t.Context(), "/p")
				time.Sleep(when.elapsed)
				s.Close()
				time.Sleep(2 * time.Second)
				same(t, "parked", c.Stats().Data.Parked, 1)
				same(t, "watches", server.Stats().DataWatches, 5)
			})
		})
	}
}

// An event, and a new connection, use up the watch of a node that is to be read again.
func TestAParkedWatchThatIsUsedUpIsSetAgain(t *testing.T) {
	lost := map[string]func(*testing.T, *zktest.Server){
		"by an event": func(t *testing.T, server *zktest.Server) {
			if err := server.Set("/p", []byte("other")); err != nil {
				t.Fatal(err)
			}
		},
		"by another connection": func(_ *testing.T, server *zktest.Server) { server.Disconnect() },
	}
	for name, lose := range lost {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				parkedOne(t, server, c)
				plant(t, server, "/n0", "/n1", "/n2", "/n3", "/a", "/b", "/c")
				server.Intercept(func(r zktest.Request) zktest.Fault {
					if reads(r, "/n0") {
						return zktest.Fault{Delay: 100 * time.Millisecond}
					}
					return zktest.Fault{}
				})
				for i := range 4 {
					c.Data(t.Context(), fmt.Sprint("/n", i))
				}
				s := c.Data(t.Context(), "/p")
				for _, path := range []string{"/a", "/b", "/c"} { // so that a batch reads it
					c.Data(t.Context(), path)
				}
				synctest.Wait()
				lose(t, server)
				time.Sleep(5 * time.Second)
				next(t, s)
				if err := server.Set("/p", []byte("new")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				d, _ := s.Latest()
				same(t, "the next snapshot", d.String(), "new")
			})
		})
	}
}
