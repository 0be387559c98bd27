package zkconn

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Errors that go-zookeeper has no name for.
var (
	// ErrTooLarge says that the server's reply was larger than Config.MaxReply.
	ErrTooLarge = errors.New("reply is too large")

	errMalformed      = errors.New("zk: malformed reply")
	errConnectionLoss = errors.New("zk: connection loss")
	errTimeout        = errors.New("zk: operation timed out on the server")
	errThrottled      = errors.New("zk: throttled by the server")

	// errAuthRequired is the answer to a client that has not authenticated by a scheme that the server
	// enforces (SESSIONCLOSEDREQUIRESASLAUTH; enforce.auth.enabled, since ZooKeeper 3.7).
	errAuthRequired = fmt.Errorf("zk: the server requires authentication by another scheme: %w", zk.ErrAuthFailed)
)

// unnamed maps the texts that go-zookeeper makes of codes that it does not know.
var unnamed = map[string]error{
	fmt.Sprintf("unknown error: %d", codeTooLarge):  ErrTooLarge,
	fmt.Sprintf("unknown error: %d", codeMalformed): errMalformed,
	"unknown error: -4":                             errConnectionLoss,
	"unknown error: -7":                             errTimeout,
	"unknown error: -124":                           errAuthRequired,
	"unknown error: -127":                           errThrottled,
}

// explain gives err a name, and ErrClosed to what failed because of Close.
func (c *Conn) explain(err error) error {
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil && Transient(err) {
		return ErrClosed
	}
	if named, ok := unnamed[err.Error()]; ok {
		return named
	}
	return err
}

// Transient reports whether err says nothing about the request itself, so that it may be sent again
// once there is a session. Whether the request was carried out is not known.
func Transient(err error) bool {
	for _, t := range []error{
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrClosing, zk.ErrSessionExpired, zk.ErrSessionMoved,
		errConnectionLoss, errTimeout, errThrottled, ErrDown,
	} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
