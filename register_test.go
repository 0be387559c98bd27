package zkstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

const (
	addr     = "127.0.0.1:8080"
	addrPath = "/svc/" + addr
)

func register(t *testing.T, c *zkstream.Client, props map[string]any, opts ...zkstream.RegisterOption) (*zkstream.Registration, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := c.Register(ctx, "/svc", addr, props, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r, cancel
}

// conflict calls Register for a node that is there, has it given up once it has found that, and returns its error.
func conflict(t *testing.T, c *zkstream.Client, props map[string]any) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := begun(func() error { _, err := c.Register(ctx, "/svc", addr, props); return err })
	eventually(t, "the registration is in conflict", func() bool {
		return slices.ContainsFunc(c.Registrations(), func(r zkstream.RegistrationInfo) bool { return r.Status == zkstream.Conflict })
	})
	enough := errors.New("enough")
	cancel(enough)
	err := <-failed
	if !errors.Is(err, enough) {
		t.Fatalf("Register returns %v", err)
	}
	return err
}

func TestRegisterMakesAnEphemeralNodeThatTheWorldCanRead(t *testing.T) {
	onEach(t, testRegisterMakesAnEphemeralNodeThatTheWorldCanRead)
}

func testRegisterMakesAnEphemeralNodeThatTheWorldCanRead(t *testing.T, f *fixture) {
	c := f.connect()
	r, _ := register(t, c, map[string]any{"zone": "b"})
	if r.Path() != addrPath || r.Addr() != addr || r.Err() != nil {
		t.Errorf("%s, %s, %v", r.Path(), r.Addr(), r.Err())
	}
	var props map[string]any
	if err := json.Unmarshal([]byte(f.get(addrPath)), &props); err != nil || props["pid"] != float64(os.Getpid()) || props["zone"] != "b" {
		t.Errorf("content %q: %v", f.get(addrPath), err)
	}
	if f.owner(addrPath) != zkstream.SessionID(c) {
		t.Error("the node is not of the client's session")
	}
	acl, _, err := f.admin.GetACL(f.root + addrPath)
	if err != nil || len(acl) != 1 || acl[0] != zk.WorldACL(zk.PermRead)[0] {
		t.Errorf("ACL %v: %v", acl, err)
	}
	until(t, r.Status(t.Context()), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if f.owner(addrPath) != 0 {
		t.Error("the node is there after Close")
	}
	if r.Err() != zkstream.ErrClosed {
		t.Errorf("Err = %v", r.Err())
	}
	if s := r.Status(t.Context()); next(t, s) != zkstream.Withdrawn || ended(t, s) != zkstream.ErrClosed {
		t.Error("status after the end")
	}
}

func TestRegisterOptionsAndPid(t *testing.T) { onEach(t, testRegisterOptionsAndPid) }

func testRegisterOptionsAndPid(t *testing.T, f *fixture) {
	c := f.connect()
	r, _ := register(t, c, map[string]any{"pid": 7}, zkstream.WithACL(zk.WorldACL(zk.PermRead|zk.PermWrite)))
	if got := f.get(addrPath); got != `{"pid": 7}` {
		t.Errorf("content %q", got)
	}
	if acl, _, _ := f.admin.GetACL(f.root + addrPath); acl[0].Perms != zk.PermRead|zk.PermWrite {
		t.Errorf("ACL %v", acl)
	}
	if _, err := c.Register(t.Context(), "/", "[::1]:80", nil); err != nil {
		t.Error(err)
	}
	f.get("/[::1]:80")
	r.Close()
}

func TestRegisterRefusesBadInput(t *testing.T) { onEach(t, testRegisterRefusesBadInput) }

func testRegisterRefusesBadInput(t *testing.T, f *fixture) {
	c := f.connect()
	for _, bad := range []string{"", "host", "host:", ":80", "a/b:80", "::1:80", "[::1]", "ho\x00st:80", "h:8/0"} {
		_, err := c.Register(t.Context(), "/svc", bad, nil)
		var pe *zkstream.PathError
		if !errors.As(err, &pe) || !strings.Contains(pe.Path, "/svc/") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := c.Register(t.Context(), "svc", addr, nil); !errors.Is(err, zk.ErrInvalidPath) {
		t.Errorf("path: %v", err)
	}
	if _, err := c.Register(t.Context(), "/svc", addr, map[string]any{"f": func() {}}); err == nil || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("properties: %v", err)
	}
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := c.Register(ctx, "/svc", addr, nil); !errors.Is(err, cause) {
		t.Errorf("ended context: %v", err)
	}
	if exists, _, _ := f.admin.Exists(f.root + "/svc"); exists {
		t.Error("something was created")
	}
}

func TestARegistrationBelowAnExistingPath(t *testing.T) {
	onEach(t, testARegistrationBelowAnExistingPath)
}

func testARegistrationBelowAnExistingPath(t *testing.T, f *fixture) {
	c := f.connect()
	if _, err := c.Register(t.Context(), "/svc", addr, nil, zkstream.WithExistingPath()); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("without the path: %v", err)
	}
	if n, _, _ := f.admin.Exists(f.root + "/svc"); n {
		t.Error("it has created the path")
	}
	f.create("/svc", "")
	r, _ := register(t, c, nil, zkstream.WithExistingPath())
	states := r.Status(t.Context())
	until(t, states, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	f.deleteTogether(addrPath, "/svc")
	until(t, states, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Refused })
	if err := r.Refusal(); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("the refusal: %v", err)
	}
	f.create("/svc", "")
	until(t, states, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
}

func TestARegistrationIsCreatedAgain(t *testing.T) { onEach(t, testARegistrationIsCreatedAgain) }

func testARegistrationIsCreatedAgain(t *testing.T, f *fixture) {
	c := f.connect()
	r, _ := register(t, c, map[string]any{"zone": "b"})
	content := f.get(addrPath)
	again := func(what string) {
		t.Helper()
		eventually(t, "the node is back after "+what, func() bool { return f.owner(addrPath) == zkstream.SessionID(c) })
		if got := f.get(addrPath); got != content {
			t.Errorf("after %s: %q", what, got)
		}
		until(t, r.Status(t.Context()), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	}
	for range 3 {
		expire(t, c)
		again("expiry")
		f.delete(addrPath)
		again("a foreign delete")
	}
	settled(t, c)
	f.outage(c, func() { f.delete(addrPath) })
	again("a foreign delete while disconnected")
	f.delete(addrPath)
	f.admin.Delete(f.root+"/svc", -1) // fails if the registration is faster
	again("a foreign delete of the parent")
}

func TestAReconnectLeavesARegistrationAsItIs(t *testing.T) {
	onEach(t, testAReconnectLeavesARegistrationAsItIs)
}

func testAReconnectLeavesARegistrationAsItIs(t *testing.T, f *fixture) {
	c, watcher := f.connect(), connect(t, f.direct+f.root)
	r, _ := register(t, c, nil)
	status := r.Status(t.Context())
	until(t, status, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	children := watcher.Children(t.Context(), "/svc")
	next(t, children)
	_, before, _ := f.admin.Exists(f.root + addrPath)
	for range 5 {
		f.outage(c, func() {})
	}
	if _, after, _ := f.admin.Exists(f.root + addrPath); after == nil || *after != *before {
		t.Errorf("the node was touched: %+v, %+v", before, after)
	}
	settled(t, watcher)
	empty(t, children, "at the watcher")
	empty(t, status, "of the status")
}

func TestANodeOfAnotherSessionIsWaitedFor(t *testing.T) {
	onEach(t, testANodeOfAnotherSessionIsWaitedFor)
}

func testANodeOfAnotherSessionIsWaitedFor(t *testing.T, f *fixture) {
	first, second := f.connect(), f.connect()
	r1, _ := register(t, first, map[string]any{"n": 1})
	content := f.get(addrPath)
	// As long as it is there, Register does not return.
	if err := conflict(t, second, map[string]any{"n": 2}); !strings.Contains(err.Error(), hex(zkstream.SessionID(first))) {
		t.Errorf("err = %v", err)
	}
	type result struct {
		r   *zkstream.Registration
		err error
	}
	done := make(chan result)
	go func() {
		r, err := second.Register(t.Context(), "/svc", addr, map[string]any{"n": 2})
		done <- result{r, err}
	}()
	// Neither disconnects nor expiries of the second make it take over.
	f.Drop()
	settled(t, second)
	expire(t, second)
	if f.get(addrPath) != content || f.owner(addrPath) != zkstream.SessionID(first) {
		t.Fatal("another session's node was touched")
	}
	r1.Close()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	if f.owner(addrPath) != zkstream.SessionID(second) || !strings.Contains(f.get(addrPath), `"n": 2`) {
		t.Errorf("after the first has gone: %s", f.get(addrPath))
	}
	// Another session can also come in between: then it is a conflict, and nobody's node is deleted.
	status := got.r.Status(t.Context())
	f.outage(second, func() {
		f.delete(addrPath)
		if _, err := f.admin.Create(f.root+addrPath, []byte("other"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	})
	until(t, status, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Conflict })
	if err := got.r.Close(); err != nil {
		t.Error(err)
	}
	if f.get(addrPath) != "other" {
		t.Error("the other's node was touched")
	}
	f.delete(addrPath)
	settled(t, second)
	if f.owner(addrPath) != 0 {
		t.Error("a withdrawn registration came back")
	}
}

func TestTwoRegistrationsOfOneNodeTakeTurns(t *testing.T) {
	onEach(t, testTwoRegistrationsOfOneNodeTakeTurns)
}

func testTwoRegistrationsOfOneNodeTakeTurns(t *testing.T, f *fixture) {
	c := f.connect()
	first, _ := register(t, c, map[string]any{"n": 1})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Register(ctx, "/svc", addr, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another registration") {
		t.Errorf("err = %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { first.Close() })
	second, err := c.Register(t.Context(), "/svc", addr, map[string]any{"n": 2})
	if err != nil || first.Err() != zkstream.ErrClosed {
		t.Fatal(err, first.Err())
	}
	if got := f.get(addrPath); !strings.Contains(got, `"n": 2`) {
		t.Errorf("content %s", got)
	}
	if err := second.Close(); err != nil || f.owner(addrPath) != 0 {
		t.Errorf("left behind: %v", err)
	}
}

func TestAPersistentNodeIsAConflict(t *testing.T) { onEach(t, testAPersistentNodeIsAConflict) }

func testAPersistentNodeIsAConflict(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/svc", "")
	f.create(addrPath, "not ephemeral")
	if err := conflict(t, c, nil); !strings.Contains(err.Error(), "not ephemeral") {
		t.Errorf("err = %v", err)
	}
	if f.get(addrPath) != "not ephemeral" {
		t.Error("the node was touched")
	}
}

func TestARegistrationEndsWithItsContextAndNeverComesBack(t *testing.T) {
	onEach(t, testARegistrationEndsWithItsContextAndNeverComesBack)
}

func testARegistrationEndsWithItsContextAndNeverComesBack(t *testing.T, f *fixture) {
	c := f.connect()
	cause := errors.New("cause")
	r, cancel := register(t, c, nil)
	status := r.Status(t.Context())
	start := time.Now()
	cancel(cause)
	eventually(t, "the node is gone", func() bool { return f.owner(addrPath) == 0 })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	<-r.Done()
	if r.Err() != cause || ended(t, status) != cause {
		t.Errorf("Err = %v, status %v", r.Err(), status.Err())
	}
	expire(t, c)
	f.outage(c, func() {})
	if f.owner(addrPath) != 0 {
		t.Error("it came back")
	}
	if err := r.Update(t.Context(), nil); !errors.Is(err, cause) {
		t.Errorf("Update after the end: %v", err)
	}
}

func TestARegistrationThatEndsWhileDisconnectedIsWithdrawnAfterwards(t *testing.T) {
	onEach(t, testARegistrationThatEndsWhileDisconnectedIsWithdrawnAfterwards)
}

func testARegistrationThatEndsWhileDisconnectedIsWithdrawnAfterwards(t *testing.T, f *fixture) {
	c := f.connect()
	r, cancel := register(t, c, nil)
	f.outage(c, func() { cancel(nil) })
	<-r.Done()
	if f.owner(addrPath) != 0 {
		t.Error("the node is there")
	}
}

func TestAWithdrawalRacesWithDrops(t *testing.T) { onEach(t, testAWithdrawalRacesWithDrops) }

func testAWithdrawalRacesWithDrops(t *testing.T, f *fixture) {
	c := f.connect()
	for i := range 12 {
		go f.Drop()
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			time.AfterFunc(time.Duration(i)*200*time.Microsecond, cancel)
		}
		r, err := c.Register(ctx, "/svc", addr, nil)
		go f.Drop()
		cancel()
		if err == nil {
			<-r.Done()
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		eventually(t, "the node is gone", func() bool { return f.owner(addrPath) == 0 })
	}
	settled(t, c)
	if f.owner(addrPath) != 0 {
		t.Error("an orphan is left")
	}
}

func TestUpdateOfARegistrationLeavesNoGap(t *testing.T) {
	onEach(t, testUpdateOfARegistrationLeavesNoGap)
}

func testUpdateOfARegistrationLeavesNoGap(t *testing.T, f *fixture) {
	c, watcher := f.connect(), connect(t, f.direct+f.root)
	r, _ := register(t, c, map[string]any{"pid": 1, "n": 0})
	children := watcher.Children(t.Context(), "/svc")
	for i := range 20 {
		if err := r.Update(t.Context(), map[string]any{"n": i + 1}); err != nil {
			t.Fatal(err)
		}
		if got := f.get(addrPath); got != fmt.Sprintf(`{"n": %d, "pid": 1}`, i+1) {
			t.Fatalf("content %s", got)
		}
		select {
		case got := <-children.C():
			if names(got) != addr {
				t.Errorf("a gap: %v", got)
			}
		default:
		}
	}
	expire(t, c)
	eventually(t, "the node is back", func() bool { return f.owner(addrPath) == zkstream.SessionID(c) })
	if got := f.get(addrPath); got != `{"n": 20, "pid": 1}` {
		t.Errorf("after expiry: %s", got)
	}
	// An update whose caller gives up while disconnected is carried out all the same.
	f.outage(c, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.Update(ctx, map[string]any{"n": 21}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while disconnected: %v", err)
		}
	})
	eventually(t, "the update is there", func() bool { return f.get(addrPath) == `{"n": 21, "pid": 1}` })
	if err := r.Update(t.Context(), map[string]any{"f": func() {}}); err == nil || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("bad properties: %v", err)
	}
}

func TestARegistrationThatMayNotBeCreatedFails(t *testing.T) {
	onEach(t, testARegistrationThatMayNotBeCreatedFails)
}

func testARegistrationThatMayNotBeCreatedFails(t *testing.T, f *fixture) {
	c := f.connect()
	if _, err := f.admin.Create(f.root+"/svc", nil, 0, zk.WorldACL(zk.PermRead)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Register(t.Context(), "/svc", addr, nil)
	var pe *zkstream.PathError
	if !errors.Is(err, zk.ErrNoAuth) || !errors.As(err, &pe) || pe.Path != addrPath {
		t.Errorf("err = %v", err)
	}
}

func TestClientCloseWithdrawsRegistrationsAtOnce(t *testing.T) {
	onEach(t, testClientCloseWithdrawsRegistrationsAtOnce)
}

func testClientCloseWithdrawsRegistrationsAtOnce(t *testing.T, f *fixture) {
	c := f.connect()
	r, _ := register(t, c, nil)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if f.owner(addrPath) != 0 {
		t.Error("the node is there")
	}
	select {
	case <-r.Done():
	default:
		t.Error("Done is open after Close of the client")
	}
	if r.Err() != zkstream.ErrClosed {
		t.Errorf("Err = %v", r.Err())
	}
	if _, err := c.Register(t.Context(), "/svc", addr, nil); !errors.Is(err, zkstream.ErrClosed) {
		t.Errorf("Register on a closed client: %v", err)
	}
}

// A withdrawal that waits for a server when the client closes has nothing to wait for any more: the node goes
// with the session.
func TestAWithdrawalEndsWithTheClient(t *testing.T) { onEach(t, testAWithdrawalEndsWithTheClient) }

func testAWithdrawalEndsWithTheClient(t *testing.T, f *fixture) {
	var log lockedBuffer
	c := f.connect(zkstream.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for range 50 { // so that the client takes a while to end them all
		c.Data(t.Context(), "/a")
	}
	withdrawn, err := c.Register(t.Context(), "/svc", "a:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Cut()
	down(t, c)
	closed := make(chan error, 1)
	go func() { closed <- withdrawn.Close() }() // ends with the client
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Register(ctx, "/svc", "b:1", nil); !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "zkstream:") != 1 {
		t.Errorf("while disconnected: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Errorf("the withdrawal: %v", err)
	}
	if err := withdrawn.Err(); err != zkstream.ErrClosed {
		t.Errorf("Err is %v", err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("there is nothing to complain of: %s", log.String())
	}
}

// A registration whose creation is under way when the client closes has ended with that, not failed.
func TestARegistrationUnderWayEndsWithTheClient(t *testing.T) {
	onEach(t, testARegistrationUnderWayEndsWithTheClient)
}

func testARegistrationUnderWayEndsWithTheClient(t *testing.T, f *fixture) {
	var log lockedBuffer
	c := f.connect(zkstream.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	reg, err := c.Register(t.Context(), "/svc", "a:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Hang() // with which replies are lost, too
	f.delete("/svc/a:1")
	failed := make(chan error, 1)
	// Ends with the client.
	go func() {
		_, err := c.Register(context.Background(), "/svc", "b:1", nil)
		failed <- err
	}()
	time.Sleep(50 * time.Millisecond) // for its request to be sent; if it was not, the test is no worse
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, zkstream.ErrClosed) || strings.Count(err.Error(), "zkstream:") != 2 { // "zkstream: closed" is the second
		t.Error(err)
	}
	if err := reg.Err(); err != zkstream.ErrClosed {
		t.Errorf("Err is %v", err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("there is nothing to complain of: %s", log.String())
	}
}
