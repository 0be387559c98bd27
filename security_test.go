package zkstream_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// What only a digest user may read, it goes on reading, and where only it may write, its registration comes
// back: on each connection and in each session.
func TestACredentialHoldsInEverySession(t *testing.T) { onEach(t, testACredentialHoldsInEverySession) }

func testACredentialHoldsInEverySession(t *testing.T, f *fixture) {
	const user, password = "user", "secret"
	mine := zk.DigestACL(zk.PermAll, user, password)
	if err := f.admin.AddAuth("digest", []byte(user+":"+password)); err != nil {
		t.Fatal(err)
	}
	for path, acl := range map[string][]zk.ACL{"/private": mine, "/svc": append(zk.WorldACL(zk.PermRead), mine...)} {
		if _, err := f.admin.Create(f.root+path, []byte("first"), 0, acl); err != nil {
			t.Fatal(err)
		}
	}
	c := f.connect(zkstream.WithAuth("digest", []byte(user+":"+password)))
	data := c.Data(t.Context(), "/private")
	r, err := c.Register(t.Context(), "/svc", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, breakIt := range []func(){
		f.Drop,
		func() { f.outage(c, func() { f.set("/private", "changed meanwhile") }) },
		func() { expire(t, c) },
		func() { expire(t, c); f.Drop() },
		func() { f.Drop(); f.delete(addrPath) },
	} {
		breakIt()
		want := fmt.Sprint(i)
		f.set("/private", want)
		until(t, data, func(d zkstream.Data) bool { return d.String() == want })
		eventually(t, "the registration is there again", func() bool {
			owner := f.owner(addrPath)
			return owner != 0 && owner == zkstream.SessionID(c)
		})
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}

	stranger := f.connect()
	if err := ended(t, stranger.Data(t.Context(), "/private")); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("a stranger reads: %v", err)
	}
	if _, err := stranger.Register(t.Context(), "/svc", "127.0.0.1:1", nil); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("a stranger registers: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if f.owner(addrPath) != 0 {
		t.Error("the node is there after Close")
	}
}

// recording keeps all that is logged, at every level, and each value in every form that shows what is in it.
type recording struct {
	mu    *sync.Mutex // guards lines
	lines *[]string
	with  []slog.Attr
}

func newRecording() recording { return recording{mu: new(sync.Mutex), lines: new([]string)} }

func (recording) Enabled(context.Context, slog.Level) bool { return true }

func (h recording) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	fmt.Fprintf(&line, "%v %s", r.Level, r.Message)
	add := func(a slog.Attr) bool {
		v := a.Value.Resolve().Any()
		fmt.Fprintf(&line, " %s=%v %+v %#v %s %q", a.Key, v, v, v, v, v)
		return true
	}
	for _, a := range h.with {
		add(a)
	}
	r.Attrs(add)
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.lines = append(*h.lines, line.String())
	return nil
}

func (h recording) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.with = append(h.with[:len(h.with):len(h.with)], attrs...)
	return h
}

func (h recording) WithGroup(string) slog.Handler { return h }

// have returns the lines that have text.
func (h recording) have(text string) (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range *h.lines {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTheLogHasNoSecrets(t *testing.T) { onEach(t, testTheLogHasNoSecrets) }

// testTheLogHasNoSecrets does whatever writes a line, with secrets in all places that are nobody's business:
// credentials, content and properties.
func testTheLogHasNoSecrets(t *testing.T, f *fixture) {
	const credential, secret = "operator:PaSsWoRd", "sEcReT"
	log := newRecording()
	logged := zkstream.WithLogger(slog.New(log))
	c := f.connect(logged, zkstream.WithAuth("digest", []byte(credential)))
	stranger := f.connect(logged)
	props := map[string]any{"password": secret, secret: []string{secret}}
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	fails := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		} else if strings.Contains(err.Error(), "PaSsWoRd") {
			t.Errorf("%s: the credential is in the error %v", what, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	// Content of every kind, read and written.
	must(c.Create(t.Context(), "/cfg", props))
	raw := c.Data(t.Context(), "/cfg")
	stream := c.Properties(t.Context(), "/cfg")
	numbers := zkstream.Decode[struct{ Password int }](c.Properties(t.Context(), "/cfg"))
	until(t, numbers, func(d zkstream.Decoded[struct{ Password int }]) bool { return d.Err != nil })
	for _, content := range []string{"{" + secret, `{"password": ` + secret + `}`, secret, `["` + secret + `"]`} {
		f.set("/cfg", content)
		until(t, raw, func(d zkstream.Data) bool { return d.String() == content })
	}
	must(stream.Update(t.Context(), props))
	must(stream.Set(t.Context(), props))
	fails("a property that has no JSON", stream.Set(t.Context(), map[string]any{"f": func() {}, "password": secret}))
	fails("content that is too large", stream.Set(t.Context(), map[string]any{"password": strings.Repeat(secret, 200_000)}))
	fails("a node that is there", c.Create(t.Context(), "/cfg", props))
	fails("a node that is not there", c.SetProperties(t.Context(), "/none", props))

	// Registrations: in place, in conflict, failed, and one that cannot be withdrawn.
	r, err := c.Register(t.Context(), "/svc", addr, props)
	must(err)
	fails("a conflict", conflict(t, stranger, props))
	must(r.Update(t.Context(), map[string]any{"token": secret}))
	stuck, err := stranger.Register(t.Context(), "/stuck", addr, props)
	must(err)
	fragile, err := stranger.Register(t.Context(), "/fragile", addr, props)
	must(err)
	for _, path := range []string{"/stuck", "/fragile"} {
		_, err := f.admin.SetACL(f.root+path, zk.WorldACL(zk.PermRead), -1)
		must(err)
	}
	fails("a withdrawal without permission", stuck.Close())

	// Lost connections and sessions, with requests under way.
	for _, breakIt := range []func(){
		f.Drop,
		func() { f.outage(c, func() { c.SetProperties(within(50*time.Millisecond), "/cfg", props) }) },
		func() { expire(t, c) },
		func() { expire(t, stranger) },
	} {
		breakIt()
		must(c.UpdateProperties(t.Context(), "/cfg", props))
	}
	until(t, fragile.Status(t.Context()), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Refused })
	fails("a registration whose parent has become read-only", fragile.Refusal())
	_, err = stranger.Register(t.Context(), "/fragile", "h:1", props)
	fails("a registration without permission", err)

	// Without permission; with a credential that is refused; without a server.
	must(c.Create(t.Context(), "/private", props))
	_, err = f.admin.SetACL(f.root+"/private", zk.DigestACL(zk.PermAll, "operator", "PaSsWoRd"), -1)
	must(err)
	fails("a stranger's stream", ended(t, stranger.Properties(t.Context(), "/private").Stream))
	fails("a stranger's update", stranger.UpdateProperties(t.Context(), "/private", props))
	_, err = zkstream.Connect(within(5*time.Second), f.Addr()+f.root, logged, zkstream.WithAuth("no-such-scheme", []byte(credential)))
	fails("a refused credential", err)
	f.Cut()
	_, err = zkstream.Connect(within(300*time.Millisecond), f.Addr()+f.root, logged, zkstream.WithAuth("digest", []byte(credential)))
	fails("no server", err)
	f.Heal()
	must(c.Close())
	must(stranger.Close())

	for _, text := range []string{
		"connected", "disconnected", "session expired", "a registration waits", "registration failed", "withdrawal failed",
		"authentication failed", "failed to connect", "DEBUG", "INFO", "WARN", "ERROR",
	} {
		if log.have(text) == nil {
			t.Errorf("the log has no line with %q, so this test looks at too little", text)
		}
	}
	digest := zk.DigestACL(0, "operator", "PaSsWoRd")[0].ID
	for _, text := range []string{
		"PaSsWoRd", secret, digest,
		base64.StdEncoding.EncodeToString([]byte(credential)), fmt.Sprintf("%x", []byte("PaSsWoRd")), fmt.Sprint([]byte("PaSsWoRd")),
		base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", []byte(secret)), fmt.Sprint([]byte(secret)),
	} {
		for _, line := range log.have(strings.Trim(text, "[]")) {
			t.Errorf("%q is in the log: %s", text, line)
		}
	}
}
