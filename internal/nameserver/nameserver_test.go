package nameserver

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Server
		s.Set("zk.test", "127.0.0.2", "127.0.0.3", "::1")
		lookup := func(name string) ([]netip.Addr, error) {
			all, err := s.Resolver().LookupNetIP(t.Context(), "ip", name)
			for i := range all {
				all[i] = all[i].Unmap()
			}
			slices.SortFunc(all, netip.Addr.Compare)
			return all, err
		}
		all, err := lookup("ZK.test")
		if want := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("::1")}; err != nil || !slices.Equal(all, want) {
			t.Errorf("zk.test is %v, %v; want %v", all, err, want)
		}
		var failure *net.DNSError
		if all, err := lookup("other.test"); !errors.As(err, &failure) || !failure.IsNotFound {
			t.Errorf("other.test is %v, %v", all, err)
		}
		s.SetMode(Fail)
		if all, err := lookup("zk.test"); !errors.As(err, &failure) || failure.IsNotFound || !failure.IsTemporary {
			t.Errorf("with a server that fails: %v, %v", all, err)
		}
		s.SetMode(FirstDead)
		for range 2 { // each lookup begins with the dead one
			start := time.Now()
			if all, err := lookup("zk.test"); err != nil || time.Since(start) < againMin {
				t.Errorf("with a dead server before this: %v, %v, after %v", all, err, time.Since(start))
			}
		}
		s.SetMode(Silent)
		if all, err := lookup("zk.test"); !errors.As(err, &failure) || !failure.IsTimeout {
			t.Errorf("with a server that is silent: %v, %v", all, err)
		}
		if synctest.Wait(); s.Waiting() != 0 {
			t.Errorf("%d questions wait", s.Waiting())
		}
	})
}
