package ensemble

import (
	"strings"
	"testing"
)

func TestAServerWithoutTLSHasNoPortForIt(t *testing.T) {
	s, err := newServer(1, t.TempDir(), false, reservePort)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.ports.secure != 0 {
		t.Errorf("port %d is reserved", s.ports.secure)
	}
	for key := range s.zooCfg(Options{}, []*Server{s}) {
		if strings.HasPrefix(key, "ssl.") || strings.HasPrefix(key, "secure") || key == "serverCnxnFactory" {
			t.Errorf("zoo.cfg has %s", key)
		}
	}
}

func TestClientCertificatesAreAskedForWhereThereAreAuthorities(t *testing.T) {
	for want, c := range map[string]TLS{"none": {}, "need": {ClientCAs: []byte("PEM")}} {
		config := c.zooCfg("/dir", 7)
		if config["ssl.clientAuth"] != want || (config["ssl.trustStore.location"] != "") != (want == "need") || config["secureClientPort"] != "7" {
			t.Errorf("%s: %v", want, config)
		}
	}
}
