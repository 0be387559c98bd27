package calls

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

// What others do after a request was sent, and whether the tree then still shows that the request was not carried out.
func TestUntouched(t *testing.T) {
	nothing := func(*zktest.Server) {}
	create := func(path string) func(*zktest.Server) {
		return func(s *zktest.Server) { s.Create(path, nil) }
	}
	set := func(s *zktest.Server) { s.Set("/a", []byte("2")) }
	remove := func(s *zktest.Server) { s.Delete("/a") }
	anew := func(s *zktest.Server) { s.Delete("/a"); s.Create("/a", nil) }
	brief := func(s *zktest.Server) { s.Create("/dir/n", nil); s.Delete("/dir/n") }
	for _, c := range []struct {
		name   string
		op     any
		happen func(*zktest.Server)
		want   bool
	}{
		{"create, nothing", &zk.CreateRequest{Path: "/dir/n"}, nothing, true},
		{"create, a sibling", &zk.CreateRequest{Path: "/dir/n"}, create("/dir/m"), false}, // it could have been n, and gone
		{"create, the node", &zk.CreateRequest{Path: "/dir/n"}, create("/dir/n"), false},
		{"create, the node for a while", &zk.CreateRequest{Path: "/dir/n"}, brief, false},
		{"create of what is there", &zk.CreateRequest{Path: "/a"}, nothing, true},
		{"create below a missing parent", &zk.CreateRequest{Path: "/no/n"}, nothing, true},
		{"create below a missing parent, another top", &zk.CreateRequest{Path: "/no/n"}, create("/top"), false},
		{"sequential, nothing", &zk.CreateRequest{Path: "/dir/n-", Flags: zk.FlagSequence}, nothing, true},
		{"sequential, any child", &zk.CreateRequest{Path: "/dir/n-", Flags: zk.FlagSequence}, create("/dir/m"), false},
		{"sequential, any child, beside a node of the bare name", &zk.CreateRequest{Path: "/dir/s-", Flags: zk.FlagSequence}, create("/dir/m"), false},
		{"sequential with a TTL, any child", &zk.CreateTTLRequest{Path: "/dir/n-", Flags: zk.FlagPersistentSequentialWithTTL}, create("/dir/m"), false},
		{"TTL, nothing", &zk.CreateTTLRequest{Path: "/dir/n", Flags: zk.FlagTTL}, nothing, true},
		{"delete, nothing", &zk.DeleteRequest{Path: "/a", Version: -1}, nothing, true},
		{"delete, a set", &zk.DeleteRequest{Path: "/a", Version: -1}, set, true},
		{"delete, gone", &zk.DeleteRequest{Path: "/a", Version: -1}, remove, false},
		{"delete, made anew", &zk.DeleteRequest{Path: "/a", Version: -1}, anew, false},
		{"set, nothing", &zk.SetDataRequest{Path: "/a", Version: -1}, nothing, true},
		{"set, a set", &zk.SetDataRequest{Path: "/a", Version: -1}, set, false},
		{"set of a version, a set", &zk.SetDataRequest{Path: "/a", Version: 0}, set, false},
		{"set of a version that is not there yet, a set", &zk.SetDataRequest{Path: "/a", Version: 1}, set, true},
		{"set of a version, made anew", &zk.SetDataRequest{Path: "/a", Version: 0}, anew, false},
		{"set, gone", &zk.SetDataRequest{Path: "/a", Version: -1}, remove, false},
		{"ACL of a version, nothing", &zkconn.SetACL{Path: "/a", Version: 0}, nothing, true},
		{"ACL of any version, nothing", &zkconn.SetACL{Path: "/a", Version: -1}, nothing, false},
		{"ACL of a version, made anew", &zkconn.SetACL{Path: "/a", Version: 0}, anew, false},
		{"check", &zk.CheckVersionRequest{Path: "/a", Version: 0}, nothing, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := zktest.Start(t)
			server.Create("/a", []byte("1"))
			server.Create("/dir", nil)
			server.Create("/dir/s-", nil)
			conn, err := zkconn.Open(zkconn.Config{Servers: []string{"zktest:2181"}, Timeout: 10 * time.Second, Dial: server.Dial,
				Logger: slog.New(slog.DiscardHandler), MaxCalls: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Run(t.Context(), func(zc *zk.Conn) error {
				if _, _, err := zc.Exists("/"); err != nil { // names a zxid
					return err
				}
				since := conn.Zxid()
				c.happen(server)
				got, err := New(conn, t.Context(), nil).untouched(t.Context(), c.op, since)
				if got != c.want {
					t.Errorf("%s: untouched is %t, since %d", c.name, got, since)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}
