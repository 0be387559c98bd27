package zkstream_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign signs a certificate of a new key, by its own key if the authority has none yet.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue returns a certificate for the loopback interface, as Go and as PEM take it.
func (a *authority) issue(usage x509.ExtKeyUsage) (tls.Certificate, []byte) {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "peer"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	text := bytes.Join([][]byte{
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		a.pem(),
	}, nil)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, text
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// over starts a real server with TLS on, and returns a fixture before its TLS port.
func over(t *testing.T, config *ensemble.TLS) *fixture {
	t.Helper()
	server := ensemble.Start(t, 1, ensemble.Options{TLS: config}).Servers()[0]
	f := newFixture(t, server.Addr())
	f.Proxy = ensemble.StartProxy(t, server.TLSAddr())
	return f
}

// refused checks that no client can connect, and that the reason, which names the server, has all parts.
func (f *fixture) refused(t *testing.T, addr string, config *tls.Config, parts ...string) {
	t.Helper()
	t.Parallel()
	var opts []zkstream.Option
	if config != nil {
		opts = append(opts, zkstream.WithTLS(config))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	c, err := zkstream.Connect(ctx, addr+f.root, append(opts, zkstream.WithLogger(testLogger(t)))...)
	if err == nil {
		c.Close()
		t.Fatal("connected")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is not of the context: %v", err)
	}
	for _, part := range append(parts, addr+": ") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
	if took := time.Since(start); took > patience {
		t.Errorf("took %v", took)
	}
}

// lives has a client do all its work, through lost connections and an expired session.
func (f *fixture) lives(t *testing.T, config *tls.Config) {
	t.Helper()
	c := f.connect(zkstream.WithTLS(config))
	if err := c.Create(t.Context(), "/svc", map[string]any{"n": 0}); err != nil {
		t.Fatal(err)
	}
	children, props := c.Children(t.Context(), "/svc"), c.Properties(t.Context(), "/svc")
	r, err := c.Register(t.Context(), "/svc", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, breakIt := range []func(){func() {}, f.Drop, func() { f.outage(c, func() {}) }, func() { expire(t, c) }} {
		breakIt()
		if err := props.Update(t.Context(), map[string]any{"n": i}); err != nil {
			t.Fatal(err)
		}
		until(t, props.Stream, func(p zkstream.Properties) bool { n, _ := p.Get("n"); return n == int64(i) })
		until(t, r.Status(t.Context()), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	}
	eventually(t, "the stream has the registration", func() bool {
		got, ok := children.Latest()
		return ok && names(got) == addr
	})
	if owner := f.owner("/svc/" + addr); owner != zkstream.SessionID(c) {
		t.Errorf("the node belongs to %#x", owner)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if f.owner("/svc/"+addr) != 0 {
		t.Error("the session lives on")
	}
}

func TestTLSOnARealServer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	_, server := ca.issue(x509.ExtKeyUsageServerAuth)
	f := over(t, &ensemble.TLS{Certificate: server})

	t.Run("verified", func(t *testing.T) { f.lives(t, &tls.Config{RootCAs: ca.pool()}) })
	t.Run("an unknown authority", func(t *testing.T) {
		f.refused(t, f.Addr(), &tls.Config{RootCAs: newAuthority(t).pool()}, "TLS: ", "unknown authority")
	})
	t.Run("another server's certificate", func(t *testing.T) {
		f.refused(t, f.Addr(), &tls.Config{RootCAs: ca.pool(), ServerName: "other.example"}, "TLS: ", "not other.example")
	})
	t.Run("an old version", func(t *testing.T) {
		f.refused(t, f.Addr(), &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "TLS: ", "protocol version")
	})
	t.Run("a plain client", func(t *testing.T) { f.refused(t, f.Addr(), nil, "closed the connection") })
	t.Run("a plain server", func(t *testing.T) {
		f.refused(t, f.direct, &tls.Config{RootCAs: ca.pool()}, "TLS: ")
	})
}

func TestClientCertificatesOnARealServer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	_, server := ca.issue(x509.ExtKeyUsageServerAuth)
	mine, _ := ca.issue(x509.ExtKeyUsageClientAuth)
	foreign, _ := newAuthority(t).issue(x509.ExtKeyUsageClientAuth)
	f := over(t, &ensemble.TLS{Certificate: server, ClientCAs: ca.pem()})

	config := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.pool(), Certificates: certs}
	}
	t.Run("known", func(t *testing.T) { f.lives(t, config(mine)) })
	t.Run("none", func(t *testing.T) { f.refused(t, f.Addr(), config()) })
	t.Run("of another authority", func(t *testing.T) { f.refused(t, f.Addr(), config(foreign)) })
}
