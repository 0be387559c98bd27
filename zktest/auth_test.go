package zktest

import (
	"fmt"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// What a client meets that has to authenticate itself, step by step, on both servers.
func TestRequiredAuthIsDemandedAsOnZooKeeper(t *testing.T) {
	version := realVersion(t)
	e := ensemble.Start(t, 1, ensemble.Options{Config: map[string]string{
		"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest",
	}})
	s := Start(t, WithVersion(version), WithRequiredAuth("digest"))
	logs := map[string]string{}
	for name, addr := range map[string]string{"real": e.Servers()[0].Addr(), "zktest": s.Addr()} {
		var text string
		var session *rawClient // of the client, as of now
		connect := func() *rawClient {
			c := rawTCP(t, addr)
			if session != nil {
				c.session, c.password = session.session, session.password
			}
			if _, err := c.handshake(8*time.Second, false); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text += fmt.Sprintf("connected, same session %v\n", session != nil && session.session == c.session)
			session = c
			return c
		}
		ask := func(c *rawClient, r request) {
			frames, err := c.call(r.op, r.body())
			if err != nil {
				t.Fatalf("%s: %v: %v", name, r, err)
			}
			d := &decoder{buf: frames[len(frames)-1]}
			d.int32()
			zxid, code := d.int64(), d.int32()
			text += fmt.Sprintf("%v: zxid known %v code %d\n", r.op, zxid > 0, code)
		}
		digest := request{op: OpAuth, scheme: "digest", data: []byte(userA)}
		for _, r := range []request{
			{op: OpExists, path: "/"}, createRequest("/a", 0), {op: OpPing}, {op: OpCloseSession}, {op: 99, path: "/"},
			{op: OpMultiRead}, {op: OpWhoAmI},
		} {
			c := connect()
			ask(c, r)
			c.closed(t)
		}
		c := connect()
		ask(c, request{op: OpAuth, scheme: "ip"})
		ask(c, digest)
		ask(c, createRequest("/a", 1))
		ask(c, request{op: OpPing})
		c.nc.Close()
		c = connect() // who comes back has to do it again
		ask(c, request{op: OpExists, path: "/a"})
		c.closed(t)
		c = connect()
		ask(c, digest)
		ask(c, request{op: OpExists, path: "/a"})
		ask(c, request{op: OpCloseSession})
		logs[name] = text
	}
	if logs["real"] != logs["zktest"] {
		t.Errorf("real server:\n%s\nzktest:\n%s", logs["real"], logs["zktest"])
	}
}

func TestRequiredAuthOfSchemesThatAreNotServed(t *testing.T) {
	for _, opts := range [][]Option{{WithRequiredAuth("sasl")}, {WithRequiredAuth("digest"), WithVersion("3.6")}} {
		if s, err := New(opts...); err == nil {
			s.Close()
			t.Error("no error")
		}
	}
	c := rawSession(t, Start(t, WithRequiredAuth("digest", "ip")), time.Minute) // every client has an address
	c.ok(t, request{op: OpExists, path: "/"})
}
