package zktest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"
)

type config struct {
	addr      string
	tick      time.Duration
	sweep     time.Duration
	syncTicks int
	readOnly  bool
	syncLimit time.Duration // syncTicks of tick
	maxBuffer int

	extendedTypes bool
	minTimeout    time.Duration
	maxTimeout    time.Duration
	quotas        bool
	requiredAuth  []string // schemes
	tree          string   // a tree text
	words         []string // four-letter words that are answered; none for all
	version       string
	release       release // what version says
	log           *slog.Logger
	tls           *tls.Config
}

// Option changes how a Server is made.
type Option func(*config)

// WithAddr listens on a TCP address, such as "127.0.0.1:2181", from the start. Without it the server
// listens on a free port of 127.0.0.1 from the first call of Addr.
func WithAddr(addr string) Option { return func(c *config) { c.addr = addr } }

// WithTickTime sets the tick, 2 s by default. Session timeouts are clamped to between 2 and 20 ticks,
// so short sessions need a short tick, unless WithSessionTimeouts says otherwise. Zero or less means the
// default.
func WithTickTime(d time.Duration) Option { return func(c *config) { c.tick = d } }

// WithSyncLimit sets after how many ticks without contact a follower gives up its leader, and a leader its
// follower; 5 by default, as in ZooKeeper's sample configuration. Zero or less means the default. A standalone server has no use for it.
func WithSyncLimit(ticks int) Option { return func(c *config) { c.syncTicks = ticks } }

// WithSessionTimeouts sets the shortest and the longest session timeout, to which clients' wishes are clamped
// (minSessionTimeout and maxSessionTimeout). Zero or less means 2 ticks for the one and 20 for the other. New
// refuses a shortest that is longer than the longest.
func WithSessionTimeouts(shortest, longest time.Duration) Option {
	return func(c *config) { c.minTimeout, c.maxTimeout = shortest, longest }
}

// WithExtendedTypes allows TTL nodes. Without it they are refused with ErrUnimplemented, as by a ZooKeeper that has been
// installed and not configured (zookeeper.extendedTypesEnabled).
func WithExtendedTypes() Option { return func(c *config) { c.extendedTypes = true } }

// WithQuotas has the server refuse with ErrQuotaExceeded what would break a hard limit (zookeeper.enforceQuota,
// 3.7 and later). A limit on /a is the content of /zookeeper/quota/a/zookeeper_limits, such as
// "count=-1,bytes=-1=;byteHardLimit=1000;countHardLimit=20", with a node zookeeper_stats beside it. Without the option
// the statistics are kept, too, and nothing is refused. The Server's own methods are not refused anything.
func WithQuotas() Option { return func(c *config) { c.quotas = true } }

// WithRequiredAuth has the server demand that each client prove an identity of one of the schemes, "digest" or "ip"
// (enforce.auth.enabled and enforce.auth.schemes, 3.7 and later). Everything but an auth request is answered with
// ErrAuthRequired otherwise, pings and closeSession included, and the connection ends; the session lives on. The address
// is an identity that every client has. Without schemes nothing is demanded.
func WithRequiredAuth(schemes ...string) Option { return func(c *config) { c.requiredAuth = schemes } }

// WithTree has the server begin with the nodes of a tree text, in the format of zc.zk that package zktext
// describes. Each is persistent and open to everybody. New refuses a text that cannot be read, and one that has a node
// which is there already, such as /zookeeper.
func WithTree(text string) Option { return func(c *config) { c.tree = text } }

// WithReadOnly has a member of an ensemble that finds no leader serve read-only clients after 2 s, or a tick where that is
// longer: those whose connect request has the read-only flag. It is what readonlymode.enabled and
// localSessionsEnabled do together; without the latter a real server starts its read-only mode and lets nobody in.
func WithReadOnly() Option { return func(c *config) { c.readOnly = true } }

// WithFourLetterWords sets which of the four-letter words are answered (4lw.commands.whitelist). The default, and none,
// are all of them. A ZooKeeper that has been installed and not configured answers "srvr" only.
func WithFourLetterWords(words ...string) Option { return func(c *config) { c.words = words } }

// WithSweepInterval sets how often containers and TTL nodes are looked at, 1 minute by default as in
// the real server. Zero or less means the default.
func WithSweepInterval(d time.Duration) Option { return func(c *config) { c.sweep = d } }

// WithMaxBuffer sets the largest request in bytes, 1 MiB less one byte by default (jute.maxbuffer). A
// larger one gets its connection closed. Zero or less means the default.
func WithMaxBuffer(bytes int) Option { return func(c *config) { c.maxBuffer = bytes } }

// WithLogger sets where the server logs sessions, refused requests and faults. The default, and nil,
// discard.
func WithLogger(log *slog.Logger) Option { return func(c *config) { c.log = log } }

// WithVersion sets which ZooKeeper the server is: "3.5" to "3.9", each the newest of its line, or a whole
// version such as "3.9.5", which is then what it says it is. The default is 3.8. New refuses any other
// version. The package's documentation lists what differs.
func WithVersion(version string) Option { return func(c *config) { c.version = version } }

// WithTLS has the server speak TLS on every connection, TCP and in-memory alike. The configuration
// needs a certificate. Nil means no TLS.
func WithTLS(cfg *tls.Config) Option { return func(c *config) { c.tls = cfg } }

func newConfig(opts []Option) (config, error) {
	c := config{version: defaultVersion}
	for _, opt := range opts {
		opt(&c)
	}
	if c.tick <= 0 {
		c.tick = 2 * time.Second
	}
	if c.syncTicks <= 0 {
		c.syncTicks = 5
	}
	c.syncLimit = time.Duration(c.syncTicks) * c.tick
	if c.minTimeout <= 0 {
		c.minTimeout = 2 * c.tick
	}
	if c.maxTimeout <= 0 {
		c.maxTimeout = 20 * c.tick
	}
	if c.sweep <= 0 {
		c.sweep = time.Minute
	}
	if c.maxBuffer <= 0 {
		c.maxBuffer = 0xfffff
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.minTimeout > c.maxTimeout {
		return config{}, fmt.Errorf("zktest: the shortest session timeout, %v, is longer than the longest, %v", c.minTimeout, c.maxTimeout)
	}
	var err error
	c.release, err = parseVersion(c.version)
	if err != nil {
		return config{}, err
	}
	if c.quotas && c.release.line < 7 {
		return config{}, fmt.Errorf("zktest: %v keeps no quotas", c.release)
	}
	if len(c.requiredAuth) > 0 && c.release.line < 7 {
		return config{}, fmt.Errorf("zktest: %v demands no authentication", c.release)
	}
	for _, scheme := range c.requiredAuth {
		if scheme != "digest" && scheme != "ip" {
			return config{}, fmt.Errorf("zktest: authentication scheme %q is not served", scheme)
		}
	}
	return c, nil
}
