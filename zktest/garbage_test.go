package zktest

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// alive fails the test unless the server serves a new client, and has nothing left of other ones.
func alive(t testing.TB, s *Server) {
	t.Helper()
	c := rawSession(t, s, time.Minute)
	c.ok(t, request{op: OpGetData, path: "/"})
	c.ok(t, request{op: OpCloseSession})
	c.closed(t)
}

func TestPacketLargerThanTheBufferClosesTheConnection(t *testing.T) {
	s := Start(t, WithMaxBuffer(1000))
	for _, size := range []int32{1001, 1 << 30, -1, -1 << 31} {
		c := rawSession(t, s, time.Minute)
		if err := binary.Write(c.nc, binary.BigEndian, size); err != nil {
			t.Fatal(err)
		}
		c.closed(t)
	}
	c := rawSession(t, s, time.Minute)
	r := createRequest("/a", 0)
	r.data = make([]byte, 1000-8-len(r.body()))
	c.ok(t, r)
	r.data = append(r.data, 0)
	if _, err := c.call(r.op, r.body()); err == nil || timedOut(err) {
		t.Fatalf("one byte too many: %v", err)
	}
	alive(t, s)
}

func TestTruncatedConnectRequestClosesTheConnection(t *testing.T) {
	s := Start(t)
	for size := range 28 {
		c := rawDial(t, s)
		if err := c.writeFrame(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		c.closed(t)
	}
	alive(t, s)
}

func TestLengthThatIsALieCostsNoMemory(t *testing.T) {
	s := Start(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const count = 200
	for range count {
		c := rawDial(t, s)
		if _, err := c.nc.Write([]byte{0, 0x0f, 0xff, 0xff, 1}); err != nil { // 1 MiB to come
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / count; each > 64<<10 {
		t.Fatalf("%d bytes for each promise of a megabyte", each)
	}
	// Nor do counts and lengths within a packet: each of these says that two billion elements follow.
	c := rawSession(t, s, time.Minute)
	runtime.ReadMemStats(&before)
	for range count {
		for _, op := range []Op{OpSetWatches, OpSetWatches2, OpMulti, OpCreate, OpSetACL, OpGetData} {
			body := make([]byte, 100)
			for i := range body {
				body[i] = 0x7f
			}
			if op == OpCreate || op == OpSetACL { // a path and data, then the ACL's count
				body = append([]byte{0, 0, 0, 2, '/', 'a', 0, 0, 0, 0}, body...)
			}
			if _, err := c.call(op, body); err != nil {
				t.Fatalf("%v: %v", op, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / (6 * count); each > 64<<10 {
		t.Fatalf("%d bytes for each packet of 100", each)
	}
	alive(t, s)
}

func TestMultiReadThatCannotBeAnsweredFails(t *testing.T) {
	s := Start(t)
	if err := s.Create("/big", make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c := rawSession(t, s, time.Minute)
	r := request{op: OpMultiRead}
	for range 1000 { // a gigabyte
		r.multi = append(r.multi, request{op: OpGetData, path: "/big"})
	}
	if code, _ := c.must(t, r); code != ErrMarshalling {
		t.Fatal(code)
	}
	r.multi = r.multi[:10]
	c.ok(t, r)
}

func TestUnknownOpcodesAreUnimplementedAndEndTheConnection(t *testing.T) {
	s := Start(t)
	for _, op := range []Op{0, -1, 10, 23, 99, 108, 1 << 30, OpConnect} {
		c := rawSession(t, s, time.Minute)
		if code, _ := c.must(t, request{op: op, path: "/"}); code != ErrUnimplemented {
			t.Errorf("op %d: %v", op, code)
		}
		c.closed(t)
	}
	alive(t, s)
}

func TestCheckOutsideOfAMultiIsNotAnsweredIfItSucceeds(t *testing.T) {
	s := Start(t, WithVersion("3.8.4")) // later ones refuse it
	c := rawSession(t, s, time.Minute)
	if code, _ := c.must(t, request{op: OpCheck, path: "/", version: 5}); code != ErrBadVersion {
		t.Fatal(code)
	}
	check := request{op: OpCheck, path: "/", version: -1}
	if _, err := c.send(check.op, check.body()); err != nil {
		t.Fatal(err)
	}
	frames, err := c.call(OpPing, nil)
	if err != nil || len(frames) != 1 {
		t.Fatalf("%x, %v", frames, err)
	}
}

// FuzzFrames sends bytes as they come, after a handshake or instead of one. Whatever they are, the
// server lives, and takes no more memory than a packet may have.
func FuzzFrames(f *testing.F) {
	f.Add(true, []byte("\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x0b"))
	f.Add(false, []byte("ruok"))
	f.Add(true, []byte("\x7f\xff\xff\xff"))
	for _, r := range []request{
		createRequest("/a", 3), {op: OpMulti, multi: []request{createRequest("/a", 0), {op: OpDelete, path: "/a"}}},
		{op: OpSetWatches2, watches: &watchLists{data: []string{"/a"}, recursive: []string{"/"}}},
		{op: OpAddWatch, path: "/", mode: 1}, {op: OpAuth, scheme: "digest", data: []byte("a:b")},
		{op: OpCreateTTL, path: "/t", acl: openACL, ttl: 5},
	} {
		body := r.body()
		frame := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		frame = binary.BigEndian.AppendUint32(frame, 1)
		frame = binary.BigEndian.AppendUint32(frame, uint32(r.op))
		f.Add(true, append(frame, body...))
	}
	f.Fuzz(func(t *testing.T, handshake bool, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			s := Start(t, WithMaxBuffer(1<<16), WithExtendedTypes())
			c := rawDial(t, s)
			if handshake {
				if _, err := c.handshake(time.Minute, false); err != nil {
					t.Fatal(err)
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c.nc.Write(data) // fails if the server has closed the connection already
			synctest.Wait()
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(1<<18+32*len(data)) {
				t.Errorf("%d bytes of memory for %d bytes", took, len(data))
			}
			c.nc.Close()
			alive(t, s)
			synctest.Wait()
			if got := s.Stats().Connections; got != 0 {
				t.Errorf("%d connections left", got)
			}
		})
	})
}

func TestClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		if err := s.Create("/big", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		deaf, other := rawSession(t, s, 40*time.Second), rawSession(t, s, 40*time.Second)
		get := request{op: OpGetData, path: "/big"}
		for range 100 { // 100 MiB of answers
			if _, err := deaf.send(get.op, get.body()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		other.ok(t, get)
		if got := s.Stats().Requests[OpGetData]; got > 10 {
			t.Fatalf("%d requests carried out for a client that reads no answers", got)
		}
		for i := range 100 { // it was only slow: nothing is lost
			frame, err := deaf.readFrame()
			if err != nil || binary.BigEndian.Uint32(frame) != uint32(i+1) {
				t.Fatalf("answer %d: %v", i, err)
			}
		}
	})
}

func TestClientThatDoesNotReadItsEventsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		path := "/" + strings.Repeat("long", 10_000) // and so are the events
		if err := s.Create(path, nil); err != nil {
			t.Fatal(err)
		}
		c := rawSession(t, s, 40*time.Second)
		c.ok(t, request{op: OpAddWatch, path: path, mode: 0})
		bytes := 0
		for s.Stats().Connections == 1 {
			if bytes > 2*maxQueued {
				t.Fatalf("%d bytes of events wait", bytes)
			}
			if err := s.Set(path, nil); err != nil {
				t.Fatal(err)
			}
			bytes += len(path)
		}
		if bytes < maxQueued {
			t.Fatalf("cut off after %d bytes of events", bytes)
		}
		if _, err := io.Copy(io.Discard, c.nc); err != nil {
			t.Fatal(err)
		}
		if len(s.Sessions()) != 1 {
			t.Fatal("its session has ended too")
		}
	})
}

func TestManyConnectionsAtOnce(t *testing.T) {
	s := Start(t)
	for i := range 200 {
		c := rawSession(t, s, time.Minute)
		c.ok(t, createRequest(fmt.Sprintf("/e%d", i), 1))
	}
	if st := s.Stats(); st.Connections != 200 || st.Ephemerals != 200 || st.Sessions != 200 {
		t.Fatalf("%+v", st)
	}
}
