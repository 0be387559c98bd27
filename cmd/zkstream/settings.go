package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/zkstream/zkstream"
)

// settings say which servers to connect to, and how.
type settings struct {
	flags   *pflag.FlagSet
	config  string
	profile string

	servers        string
	auth           []string
	authFile       string
	timeout        time.Duration
	sessionTimeout time.Duration
	tls            bool
	tlsCA          string
	tlsCert        string
	tlsKey         string
	tlsServerName  string
	tlsInsecure    bool
}

const defaultTimeout = 10 * time.Second

// connection are the flags that the environment and profiles may have, too.
var connection = []string{"servers", "auth", "auth-file", "timeout", "session-timeout",
	"tls", "tls-ca", "tls-cert", "tls-key", "tls-server-name", "tls-insecure"}

func (s *settings) addFlags(flags *pflag.FlagSet) {
	s.flags = flags
	flags.StringVar(&s.config, "config", "", "`file` with profiles (default: zkstream/config.toml in the user's folder for configuration)")
	flags.StringVar(&s.profile, "profile", "", "`name` of a profile of the configuration file")
	flags.StringVarP(&s.servers, "servers", "s", "", "connection `string`: host:port,host:port/chroot")
	flags.StringArrayVar(&s.auth, "auth", nil, "credential `scheme:text`, such as digest:user:password; may be repeated")
	flags.StringVar(&s.authFile, "auth-file", "", "`file` with a credential on each line, which other users of the machine cannot see")
	flags.DurationVar(&s.timeout, "timeout", defaultTimeout, "give up when no server has been reached for that long; 0: never")
	flags.DurationVar(&s.sessionTimeout, "session-timeout", 0, "session timeout to ask for (default 10s)")
	flags.BoolVar(&s.tls, "tls", false, "use TLS, with the system's authorities unless --tls-ca is given")
	flags.StringVar(&s.tlsCA, "tls-ca", "", "`file` with the authorities' certificates, in PEM; means --tls")
	flags.StringVar(&s.tlsCert, "tls-cert", "", "`file` with the client's certificate, in PEM; means --tls")
	flags.StringVar(&s.tlsKey, "tls-key", "", "`file` with its key, in PEM")
	flags.StringVar(&s.tlsServerName, "tls-server-name", "", "`name` in the servers' certificates (default: the host's)")
	flags.BoolVar(&s.tlsInsecure, "tls-insecure", false, "do not check the servers' certificates")
}

// resolve completes the flags from the environment and a profile. A value is the flag's, else that of the profile which
// --profile names, else the environment's, else that of the environment's profile or the default one. Servers that do not
// come from a profile get nothing from it either unless --profile names it: credentials are for its servers.
func (s *settings) resolve(getenv func(string) string) error {
	file, err := readConfig(s.config, getenv)
	if err != nil {
		return err
	}
	set := func(name string, values []string, source string) error {
		flag := s.flags.Lookup(name)
		if flag.Changed {
			return nil
		}
		for _, v := range values {
			if err := s.flags.Set(name, v); err != nil {
				return fmt.Errorf("%s: %s: %w", source, name, err)
			}
		}
		return nil
	}
	apply := func(name string) error {
		profile, err := file.profile(name)
		for _, key := range connection {
			if err == nil && profile[key] != nil {
				err = set(key, profile[key], "profile "+name)
			}
		}
		return err
	}
	if s.profile != "" {
		if err := apply(s.profile); err != nil {
			return err
		}
	}
	for _, name := range connection {
		variable := "ZKSTREAM_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		v := getenv(variable)
		if name == "servers" && v == "" {
			variable = "ZC_ZK_CONNECTION_STRING"
			v = getenv(variable)
		}
		if v != "" {
			if err := set(name, strings.FieldsFunc(v, func(r rune) bool { return r == '\n' }), variable); err != nil {
				return err
			}
		}
	}
	if s.profile == "" && s.servers == "" {
		s.profile = getenv("ZKSTREAM_PROFILE")
		if s.profile == "" {
			s.profile = file.Default
		}
		if s.profile != "" {
			return apply(s.profile)
		}
	}
	return nil
}

// options returns what the settings mean for a client, but for the servers.
func (s *settings) options() ([]zkstream.Option, error) {
	var opts []zkstream.Option
	credentials := s.auth
	if s.authFile != "" {
		text, err := os.ReadFile(s.authFile)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" && line[0] != '#' {
				credentials = append(credentials, line)
			}
		}
	}
	for _, text := range credentials {
		scheme, credential, ok := strings.Cut(text, ":")
		if !ok {
			return nil, errors.New("a credential is scheme:text, such as digest:user:password")
		}
		opts = append(opts, zkstream.WithAuth(scheme, []byte(credential)))
	}
	if s.sessionTimeout != 0 {
		opts = append(opts, zkstream.WithSessionTimeout(s.sessionTimeout))
	}
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, zkstream.WithTLS(config))
	}
	return opts, nil
}

// tlsConfig returns nil if there is to be no TLS.
func (s *settings) tlsConfig() (*tls.Config, error) {
	if !s.tls && s.tlsCA == "" && s.tlsCert == "" && s.tlsKey == "" && s.tlsServerName == "" && !s.tlsInsecure {
		return nil, nil
	}
	config := &tls.Config{ServerName: s.tlsServerName, InsecureSkipVerify: s.tlsInsecure}
	if s.tlsCA != "" {
		pem, err := os.ReadFile(s.tlsCA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in PEM", s.tlsCA)
		}
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	if s.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
