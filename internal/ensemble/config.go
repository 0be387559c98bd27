package ensemble

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	myidFile        = "myid"
	defaultTickTime = 200 * time.Millisecond
	mainClass       = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
)

// logback is the configuration of the logger that ZooKeeper's own releases have:
// without one it logs every detail. Debian's package is served by flags.
const logback = `<configuration>
  <appender name="CONSOLE" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} [%t] %p %c{1} - %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="CONSOLE"/></root>
</configuration>
`

// configure writes the files of a server and sets its command. all has every
// server of the ensemble, this one included.
func (s *Server) configure(opts Options, java, classpath string, all []*Server) error {
	config := s.zooCfg(opts, all)
	var cfg strings.Builder
	for _, key := range slices.Sorted(maps.Keys(config)) {
		fmt.Fprintf(&cfg, "%s=%s\n", key, config[key])
	}
	if err := os.MkdirAll(s.dataDir(), 0o700); err != nil {
		return err
	}
	files := map[string]string{
		filepath.Join(s.dir, "zoo.cfg"):      cfg.String(),
		filepath.Join(s.dir, "logback.xml"):  logback,
		filepath.Join(s.dataDir(), myidFile): strconv.Itoa(s.id) + "\n",
	}
	if opts.TLS != nil {
		maps.Copy(files, opts.TLS.files(s.dir))
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}

	s.log = opts.Log
	s.command = slices.Concat(
		[]string{
			java,
			// A small machine that starts fast and leaves no files in the
			// system's folder for temporary files.
			"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
			"-XX:-UsePerfData", "-Djava.io.tmpdir=" + s.dir,
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-Dorg.slf4j.simpleLogger.showDateTime=true",
			"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
			"-Dlogback.configurationFile=" + filepath.Join(s.dir, "logback.xml"),
		},
		opts.Java,
		[]string{"-cp", classpath, mainClass, filepath.Join(s.dir, "zoo.cfg")},
	)
	return nil
}

// zooCfg returns the lines of zoo.cfg.
func (s *Server) zooCfg(opts Options, all []*Server) map[string]string {
	tick := opts.TickTime
	if tick == 0 {
		tick = defaultTickTime
	}
	config := map[string]string{
		"dataDir":            s.dataDir(),
		"clientPort":         strconv.Itoa(s.ports.client),
		"clientPortAddress":  loopback,
		"tickTime":           milliseconds(tick),
		"maxClientCnxns":     "0", // no limit: all clients have one address here
		"admin.enableServer": "false",
		// All four-letter words: FourLetter and what is built on it need them.
		"4lw.commands.whitelist": "*",
		// TTL and container nodes.
		"extendedTypesEnabled": "true",
		// Data must survive SIGKILL of the server, which the page cache does
		// without fsync, and not a loss of power.
		"forceSync": "no",
	}
	if opts.MaxSessionTimeout != 0 {
		config["maxSessionTimeout"] = milliseconds(opts.MaxSessionTimeout)
	}
	if len(all) > 1 {
		// In ticks. A busy machine must not make a healthy ensemble elect anew. A
		// frozen leader is given up after syncLimit by those that follow it, 2 s by
		// default, and after initLimit, 5 s, by one that was about to.
		config["syncLimit"] = "10"
		config["initLimit"] = "25"
		for _, peer := range all {
			quorum := s.peers[peer.id]
			if quorum == "" {
				quorum = net.JoinHostPort(loopback, strconv.Itoa(peer.ports.quorum))
			}
			config["server."+strconv.Itoa(peer.id)] = fmt.Sprintf("%s:%d", quorum, peer.ports.election)
		}
	}
	if opts.TLS != nil {
		maps.Copy(config, opts.TLS.zooCfg(s.dir, s.ports.secure))
	}
	maps.Copy(config, opts.Config)
	return config
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
