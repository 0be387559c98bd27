package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// server starts a server that is known by the content of /name.
func namedServer(t *testing.T, name string) string {
	return zktest.Start(t, zktest.WithTree("/name\n  string_value = '"+name+"'\n/app\n  /name\n    string_value = 'app of "+name+"'\n")).Addr()
}

func TestWhereTheServersComeFrom(t *testing.T) {
	s := newShell(t, "")
	names := map[string]string{}
	for _, name := range []string{"flag", "env", "zc", "dev", "prod"} {
		names[name] = namedServer(t, name)
	}
	config := filepath.Join(s.env["XDG_CONFIG_HOME"], "zkstream", "config.toml")
	os.MkdirAll(filepath.Dir(config), 0o700)
	text := fmt.Sprintf("default = 'dev'\n[profiles.dev]\nservers = %q\n[profiles.prod]\nservers = %q\ntimeout = '3s'\n", names["dev"], names["prod"]+"/app")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(values ...string) {
		delete(s.env, "ZKSTREAM_SERVERS")
		delete(s.env, "ZC_ZK_CONNECTION_STRING")
		delete(s.env, "ZKSTREAM_PROFILE")
		for i := 0; i < len(values); i += 2 {
			s.env[values[i]] = values[i+1]
		}
	}
	env()
	equal(t, s.ok("get", "/name"), "dev")
	equal(t, s.ok("get", "/name", "--profile", "prod"), "app of prod")
	env("ZKSTREAM_PROFILE", "prod")
	equal(t, s.ok("get", "/name"), "app of prod")
	env("ZKSTREAM_PROFILE", "prod", "ZC_ZK_CONNECTION_STRING", names["zc"])
	equal(t, s.ok("get", "/name"), "zc")
	env("ZKSTREAM_PROFILE", "prod", "ZC_ZK_CONNECTION_STRING", names["zc"], "ZKSTREAM_SERVERS", names["env"])
	equal(t, s.ok("get", "/name"), "env")
	equal(t, s.ok("get", "/name", "--profile", "prod"), "app of prod")
	equal(t, s.ok("get", "/name", "--profile", "prod", "-s", names["flag"]), "flag")
	equal(t, s.ok("get", "/name", "-s", names["flag"]+"/app"), "app of flag")

	s.fails(statusError, `no profile "nosuch" in `+config+", which has: dev prod", "get", "/name", "--profile", "nosuch")
	for _, bad := range []string{"[profiles.dev]\nnosuch = 1\n", "nosuch = 1\n", "= 1\n"} {
		env("ZKSTREAM_PROFILE", "dev")
		s.fails(statusError, "bad.toml", "get", "/name", "--config", write(t, "bad.toml", bad))
	}
	s.fails(statusError, "timeout", "get", "/name", "--config", write(t, "bad.toml", "[profiles.dev]\ntimeout = 'x'\n"))
	s.fails(statusError, "no such file", "get", "/name", "--config", "/no/such/file")
	env("ZKSTREAM_CONFIG", "/no/such/file")
	s.fails(statusError, "no such file", "get", "/name")
}

func TestCredentials(t *testing.T) {
	s, server := start(t, search)
	s.ok("acl", "set", "/search", "auth::cdrwa", "--auth", "digest:u:p:q")
	server.SetACL("/search/providers", zktest.ACL{Perms: 31, Scheme: "digest", ID: "nobody:x"})
	want := `{"threads":8,"type":"service"}`
	s.fails(statusError, "not authenticated", "get", "/search")
	s.fails(statusError, "a credential is scheme:text", "get", "/search", "--auth", "secret")
	s.fails(statusError, "a credential is scheme:text", "get", "/search", "--auth", "digest")
	equal(t, s.ok("get", "/search", "--auth", "digest:a:b", "--auth", "digest:u:p:q"), want)
	file := write(t, "credentials", "# mine\ndigest:a:b\n\ndigest:u:p:q\r\n")
	equal(t, s.ok("get", "/search", "--auth-file", file), want)
	s.env["ZKSTREAM_AUTH_FILE"] = file
	equal(t, s.ok("get", "/search"), want)
	delete(s.env, "ZKSTREAM_AUTH_FILE")
	s.env["ZKSTREAM_AUTH"] = "digest:a:b\ndigest:u:p:q"
	equal(t, s.ok("get", "/search"), want)
	delete(s.env, "ZKSTREAM_AUTH")

	// Names of files in a profile are relative to it, and what a profile has is not for servers that come from elsewhere.
	config := write(t, "config.toml", "default = 'mine'\n[profiles.mine]\nservers = '"+server.Addr()+"'\nauth-file = 'credentials'\nauth = ['digest:a:b', 'digest:c:d']\n")
	os.WriteFile(filepath.Join(filepath.Dir(config), "credentials"), []byte("digest:u:p:q\n"), 0o600)
	s.env["ZKSTREAM_CONFIG"] = config
	s.fails(statusError, "not authenticated", "get", "/search")
	equal(t, s.ok("get", "/search", "--profile", "mine"), want)
	delete(s.env, "ZKSTREAM_SERVERS")
	equal(t, s.ok("get", "/search"), want)
}

// certificate makes a certificate for 127.0.0.1 that is its own authority, and returns it and the files of it and its key.
func certificate(t *testing.T, dir, name string) (pair tls.Certificate, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"zk.test"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return pair, cert, key
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pair, cert, _ := certificate(t, dir, "server")
	client, clientCert, clientKey := certificate(t, dir, "client")
	clients := x509.NewCertPool()
	clients.AddCert(client.Leaf)
	s, _ := start(t, search, zktest.WithTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	want := `{"threads":8,"type":"service"}`
	mine := []string{"--tls-cert", clientCert, "--tls-key", clientKey}
	get := append([]string{"get", "/search"}, mine...)
	equal(t, s.ok(append(get, "--tls-ca", cert)...), want)
	equal(t, s.ok(append(get, "--tls-insecure")...), want)
	equal(t, s.ok(append(get, "--tls-ca", cert, "--tls-server-name", "zk.test")...), want)
	if out := s.ok(append([]string{"servers", "--tls-ca", cert}, mine...)...); !strings.Contains(out, "standalone") {
		t.Error(out)
	}
	s.env["ZKSTREAM_TLS_CA"], s.env["ZKSTREAM_TLS_CERT"], s.env["ZKSTREAM_TLS_KEY"] = cert, clientCert, clientKey
	equal(t, s.ok("get", "/search"), want)
	for _, name := range []string{"ZKSTREAM_TLS_CA", "ZKSTREAM_TLS_CERT", "ZKSTREAM_TLS_KEY"} {
		delete(s.env, name)
	}
	for reason, flags := range map[string][]string{
		"signed by unknown authority": {"--tls"},
		"not zk.other":                {"--tls-ca", cert, "--tls-server-name", "zk.other"},
	} {
		s.fails(statusError, "no server within 300ms", append(append(get, "--timeout", "300ms"), flags...)...)
		// This command says why as soon as it knows.
		if out, _, status := s.run(append(append([]string{"servers"}, mine...), flags...)...); status != statusError || !strings.Contains(out, reason) {
			t.Errorf("%q: status %d, %s", flags, status, out)
		}
	}
	s.fails(statusError, "no server within 300ms", "get", "/search", "--tls-ca", cert, "--timeout", "300ms") // no certificate
	s.fails(statusError, "no server within 300ms", "get", "/search", "--timeout", "300ms")                   // no TLS
	s.fails(statusError, "go together", "get", "/search", "--tls-cert", clientCert)
	s.fails(statusError, "no certificate in PEM", "get", "/search", "--tls-ca", clientKey)
	s.fails(statusError, "no such file", "get", "/search", "--tls-ca", "/no/such/file")
	s.fails(statusError, "no such file", "get", "/search", "--auth-file", "/no/such/file")
}
