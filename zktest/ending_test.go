package zktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// frames puts packets one behind the other, each with its length.
func frames(packets ...[]byte) (stream []byte) {
	for _, p := range packets {
		stream = binary.BigEndian.AppendUint32(stream, uint32(len(p)))
		stream = append(stream, p...)
	}
	return stream
}

func packet(xid int32, op Op, r request) []byte {
	var e encoder
	e.int32(xid)
	e.int32(int32(op))
	r.op = op
	return append(e.buf, r.body()...)
}

func connectPacket(lastZxid, session int64) []byte {
	var e encoder
	e.int32(0)
	e.int64(lastZxid)
	e.int32(10_000)
	e.int64(session)
	e.bytes(make([]byte, 16))
	e.bool(false)
	return e.buf
}

// endings are what a client sends, all at once, before its connection ends. Each has more behind what makes the
// server end it: a socket that is closed with that unread is reset.
func endings() map[string][]byte {
	connect := connectPacket(0, 0)
	pings := make([][]byte, 200)
	for i := range pings {
		pings[i] = packet(-2, OpPing, request{})
	}
	behind := func(packets ...[]byte) []byte { return frames(append(packets, pings...)...) }
	watches := request{watches: &watchLists{data: []string{"/a"}}}
	huge := binary.BigEndian.AppendUint32(nil, 1<<30)
	return map[string][]byte{
		"ruok and a newline":    []byte("ruok\n"),
		"srvr and much more":    append([]byte("srvr\r\n"), make([]byte, 5000)...),
		"a dead session":        behind(connectPacket(0, 1234), packet(-4, OpAuth, request{scheme: "digest", data: []byte(userA)}), packet(-8, OpSetWatches, watches)),
		"a zxid that is ahead":  behind(connectPacket(1<<40, 0)),
		"an unknown scheme":     behind(connect, packet(-4, OpAuth, request{scheme: "nosuch"})),
		"closeSession":          behind(connect, packet(1, OpCloseSession, request{})),
		"an unknown opcode":     behind(connect, packet(1, 99, request{})),
		"a frame too large":     append(frames(connect), append(huge, make([]byte, 5000)...)...),
		"a negative length":     append(frames(connect), append([]byte{0xff, 0, 0, 0}, make([]byte, 5000)...)...),
		"a frame too short":     behind(connect, []byte{1, 2, 3}),
		"garbage for a connect": behind([]byte{1, 2, 3}),
	}
}

// ending sends a script and reads to the end. The error is the bare one, without addresses.
func ending(t *testing.T, addr string, script []byte) (bytes int, err string) {
	t.Helper()
	nc, dialError := net.Dial("tcp", addr)
	if dialError != nil {
		t.Fatal(dialError)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(script); err != nil {
		return 0, fmt.Sprint("write: ", errors.Unwrap(err))
	}
	got, readError := io.ReadAll(nc)
	if readError != nil {
		return len(got), errors.Unwrap(readError).Error()
	}
	return len(got), "none"
}

// TestConnectionsEndAsZooKeepers compares how a connection ends, which is more than its last answer: what the
// server sent has arrived, and then comes the end of the stream, not a reset. (How many of the requests behind
// the last one are still answered differs from one run to the next on the real server.)
func TestConnectionsEndAsZooKeepers(t *testing.T) {
	e := ensemble.Start(t, 1)
	s := Start(t)
	for name, script := range endings() {
		t.Run(name, func(t *testing.T) {
			errs, least := map[string]int{}, len(script)+1000
			for range 20 {
				n, err := ending(t, e.Servers()[0].Addr(), script)
				errs[err]++
				least = min(least, n)
			}
			for range 20 {
				n, err := ending(t, s.Addr(), script)
				if errs[err] == 0 {
					t.Fatalf("error %s, on the real server %v", err, errs)
				}
				if n == 0 && least > 0 {
					t.Fatalf("nothing has arrived, of the real server's at least %d bytes", least)
				}
			}
		})
	}
}

// The same without a real server: nothing is reset.
func TestNoConnectionEndsWithAReset(t *testing.T) {
	s := Start(t)
	for name, script := range endings() {
		for range 20 {
			if n, err := ending(t, s.Addr(), script); err != "none" {
				t.Errorf("%s: %d bytes, %s", name, n, err)
				break
			}
		}
	}
}

func TestCloseDoesNotWaitForClientsThatStay(t *testing.T) {
	defer func(before time.Duration) { lingerTime = before }(lingerTime)
	lingerTime = time.Hour
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "ruok")
	if text, err := io.ReadAll(nc); string(text) != "imok" || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	s.Close() // would take an hour otherwise
}
