package zktest

import (
	"crypto/tls"
	"log/slog"
	"time"
)

type config struct {
	addr      string
	tick      time.Duration
	sweep     time.Duration
	maxBuffer int
	log       *slog.Logger
	tls       *tls.Config
}

// Option changes how a Server is made.
type Option func(*config)

// WithAddr listens on a TCP address, such as "127.0.0.1:2181", from the start. Without it the server
// listens on a free port of 127.0.0.1 from the first call of Addr.
func WithAddr(addr string) Option { return func(c *config) { c.addr = addr } }

// WithTickTime sets the tick, 2 s by default. Session timeouts are clamped to between 2 and 20 ticks,
// so short sessions need a short tick. Zero or less means the default.
func WithTickTime(d time.Duration) Option { return func(c *config) { c.tick = d } }

// WithSweepInterval sets how often containers and TTL nodes are looked at, 1 minute by default as in
// the real server. Zero or less means the default.
func WithSweepInterval(d time.Duration) Option { return func(c *config) { c.sweep = d } }

// WithMaxBuffer sets the largest request in bytes, 1 MiB less one byte by default (jute.maxbuffer). A
// larger one gets its connection closed. Zero or less means the default.
func WithMaxBuffer(bytes int) Option { return func(c *config) { c.maxBuffer = bytes } }

// WithLogger sets where the server logs sessions, refused requests and faults. The default, and nil,
// discard.
func WithLogger(log *slog.Logger) Option { return func(c *config) { c.log = log } }

// WithTLS has the server speak TLS on every connection, TCP and in-memory alike. The configuration
// needs a certificate. Nil means no TLS.
func WithTLS(cfg *tls.Config) Option { return func(c *config) { c.tls = cfg } }

func newConfig(opts []Option) config {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if c.tick <= 0 {
		c.tick = 2 * time.Second
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
	return c
}
