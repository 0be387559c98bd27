package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"
)

// asCommand in the environment makes this test binary the command itself.
const asCommand = "ZKTEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs the command as a process, which the test's cleanup ends, and gives its connection string.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, servers string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return cmd, strings.TrimSpace(line)
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func connect(t *testing.T, servers []string, dial zk.Dialer) *zk.Conn {
	t.Helper()
	if dial == nil {
		dial = net.DialTimeout
	}
	conn, events, err := zk.Connect(servers, 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events {
		}
	})
	return conn
}

func TestCommandServesUntilItIsInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no interrupt on Windows that one process could send another")
	}
	tree := filepath.Join(t.TempDir(), "tree.txt")
	if err := os.WriteFile(tree, []byte("/services\n  /providers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, servers := start(t, "-addr", "127.0.0.1:0", "-servers", "3", "-tree", tree, "-tick", "500ms")
	list := strings.Split(servers, ",")
	if len(list) != 3 {
		t.Fatalf("connection string %q", servers)
	}
	conn := connect(t, list, nil)
	if ok, _, err := conn.Exists("/services/providers"); !ok || err != nil {
		t.Errorf("the tree is not there: %v", err)
	}
	if _, err := conn.Create("/services/providers/a", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Error(err)
	}
	for _, server := range list { // each serves the same
		other := connect(t, []string{server}, nil)
		if _, err := other.Sync("/"); err != nil {
			t.Fatal(err)
		}
		if ok, _, err := other.Exists("/services/providers/a"); !ok || err != nil {
			t.Errorf("%s does not have what another has: %v", server, err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if nc, err := net.Dial("tcp", list[0]); err == nil {
		nc.Close()
		t.Error("it still listens")
	}
}

func TestCommandServesTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"cert": certificate, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, servers := start(t, "-addr", "127.0.0.1:0", "-cert", filepath.Join(dir, "cert"), "-key", filepath.Join(dir, "key"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	conn := connect(t, []string{servers}, func(network, addr string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, addr, &tls.Config{RootCAs: roots})
	})
	if ok, _, err := conn.Exists("/zookeeper"); !ok || err != nil {
		t.Error(err)
	}
}

func TestCommandRefusesWhatMakesNoSense(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-servers 0", "0 servers"},
		{"-version 2.9", "version"},
		{"-cert a", "go together"},
		{"-tree /no/such/file", "no such file"},
		{"more", "unexpected argument"},
		{"-addr 1.2.3.4.5:1", "1.2.3.4.5"},
		{"-nosuch", "nosuch"},
	} {
		err := run(t.Context(), strings.Fields(test.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.args, err)
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, io.Discard, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-servers number") {
		t.Errorf("%v, %s", err, help.String())
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error)
	go func() { done <- run(ctx, []string{"-addr", "127.0.0.1:0", "-v"}, w, io.Discard) }()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || !strings.HasPrefix(line, "127.0.0.1:") {
		t.Errorf("%q, %v", line, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
