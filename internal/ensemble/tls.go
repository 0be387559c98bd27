package ensemble

import (
	"net"
	"path/filepath"
	"strconv"
)

// TLS is what servers show to clients, and ask of them, as PEM.
type TLS struct {
	// Certificate has the servers' private key, as PKCS #8, and their certificates,
	// the servers' own first.
	Certificate []byte

	// ClientCAs has the certificates of the authorities of client certificates,
	// which every client then needs. nil means that clients need none.
	ClientCAs []byte
}

// TLSAddr returns the address for clients that use TLS, "127.0.0.1:port". Nobody
// listens there unless Options.TLS is set.
func (s *Server) TLSAddr() string {
	return net.JoinHostPort(loopback, strconv.Itoa(s.ports.secure))
}

// files returns the files that zooCfg names, which are in dir.
func (c *TLS) files(dir string) map[string]string {
	return map[string]string{
		filepath.Join(dir, "server.pem"):  string(c.Certificate),
		filepath.Join(dir, "clients.pem"): string(c.ClientCAs),
	}
}

// zooCfg returns the lines of zoo.cfg for TLS on port.
func (c *TLS) zooCfg(dir string, port int) map[string]string {
	config := map[string]string{
		"serverCnxnFactory":       "org.apache.zookeeper.server.NettyServerCnxnFactory", // the other has no TLS
		"secureClientPort":        strconv.Itoa(port),
		"secureClientPortAddress": loopback,
		"ssl.keyStore.location":   filepath.Join(dir, "server.pem"),
		"ssl.clientAuth":          "none",
	}
	if c.ClientCAs != nil {
		config["ssl.clientAuth"] = "need"
		config["ssl.trustStore.location"] = filepath.Join(dir, "clients.pem")
	}
	return config
}
