package zkconn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"
)

// ErrTooLarge is inside the error of what is larger than can be carried: a reply of more than
// Config.MaxReply bytes, or a request that a server does not take.
var ErrTooLarge = errors.New("too large")

// Names for the codes of org.apache.zookeeper.KeeperException that go-zookeeper has none for.
var (
	ErrUnimplemented = errors.New("zk: the server does not know this operation")
	ErrThrottled     = errors.New("zk: throttled by the server")
	ErrQuotaExceeded = errors.New("zk: quota exceeded")
	ErrLocalSession  = errors.New("zk: a local session cannot have ephemeral nodes")
	// ErrAuthRequired is the answer to a client that has not authenticated by a scheme that the server
	// enforces (SESSIONCLOSEDREQUIRESASLAUTH; enforce.auth.enabled, since ZooKeeper 3.7).
	ErrAuthRequired   = fmt.Errorf("zk: the server requires authentication: %w", zk.ErrAuthFailed)
	ErrNotReadOnly    = errors.New("zk: the server is in read-only mode")
	errSystem         = errors.New("zk: system error on the server")
	errRuntime        = errors.New("zk: runtime inconsistency on the server")
	errData           = errors.New("zk: data inconsistency on the server")
	errConnectionLoss = errors.New("zk: connection loss")
	errMarshalling    = errors.New("zk: the server failed inside, or could not decode the request")
	errTimeout        = errors.New("zk: operation timed out on the server")
	errRequestTimeout = errors.New("zk: request timed out on the server")
	errNoQuorum       = errors.New("zk: no quorum of the new configuration")
	errReconfiguring  = errors.New("zk: a reconfiguration is under way")
	errUnknownSession = errors.New("zk: unknown session")
	errNoWatch        = errors.New("zk: no such watch, or not allowed for a node of this kind")
)

// Errors of this package's own.
var (
	errReplyTooLarge = fmt.Errorf("the reply is %w", ErrTooLarge)
	errMalformed     = errors.New("zk: malformed reply")
)

// named maps codes to errors, those of this package's own included: see wire.reply.
var named = map[int32]error{
	codeTooLarge:     errReplyTooLarge,
	codeMalformed:    errMalformed,
	-1:               errSystem,
	-2:               errRuntime,
	-3:               errData,
	-4:               errConnectionLoss,
	-5:               errMarshalling,
	-6:               ErrUnimplemented,
	-7:               errTimeout,
	-8:               zk.ErrBadArguments,
	-12:              errUnknownSession,
	-13:              errNoQuorum,
	-14:              errReconfiguring,
	-119:             ErrNotReadOnly,
	-120:             ErrLocalSession,
	-121:             errNoWatch,
	-122:             errRequestTimeout,
	codeAuthRequired: ErrAuthRequired,
	-125:             ErrQuotaExceeded,
	-127:             ErrThrottled,
}

// Named returns err with a name that errors.Is finds, if go-zookeeper knows it only by its number.
func Named(err error) error {
	if err == nil {
		return nil
	}
	// go-zookeeper makes a text of a code that it does not know, and nothing else.
	if number, ok := strings.CutPrefix(err.Error(), "unknown error: "); ok {
		if code, convErr := strconv.ParseInt(number, 10, 32); convErr == nil {
			if e, ok := named[int32(code)]; ok {
				return e
			}
		}
	}
	return err
}

// Codes that zkconn acts on.
const (
	codeNoNode        = -101
	codeUnimplemented = -6
)

// codeError returns the error of a code that is not 0. go-zookeeper does not let its own table be used.
func codeError(code int32) error {
	if err, ok := named[code]; ok {
		return err
	}
	if err, ok := standard[code]; ok {
		return err
	}
	return fmt.Errorf("unknown error: %d", code)
}

// standard are the codes that go-zookeeper has errors for.
var standard = map[int32]error{
	-100: zk.ErrAPIError, -101: zk.ErrNoNode, -102: zk.ErrNoAuth, -103: zk.ErrBadVersion,
	-108: zk.ErrNoChildrenForEphemerals, -110: zk.ErrNodeExists, -111: zk.ErrNotEmpty, -112: zk.ErrSessionExpired,
	-114: zk.ErrInvalidACL, -115: zk.ErrAuthFailed, -116: zk.ErrClosing, -117: zk.ErrNothing, -118: zk.ErrSessionMoved,
}

// Final reports whether err is one that sending the same request again cannot mend, nor a new connection.
func Final(err error) bool { return Permanent(err) || errors.Is(err, zk.ErrAuthFailed) }

// explain gives err a name, and ErrClosed to what failed because of Close.
func (c *Conn) explain(err error) error {
	if err == nil {
		return nil
	}
	if err = Named(err); c.ctx.Err() != nil && Transient(err) {
		return ErrClosed
	}
	return err
}

func isAny(err error, targets []error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// notCarriedOut are the transient errors of a request that certainly had no effect. Either it was never
// sent, or a server refused it before it became a transaction: PrepRequestProcessor checks the session
// first, and throttled requests pass it by.
var notCarriedOut = []error{zk.ErrNoServer, ErrDown, zk.ErrSessionExpired, zk.ErrSessionMoved, ErrThrottled, errBehind, errNoMultiRead}

// maybeCarriedOut are the transient errors that do not say whether the request had an effect. A server
// answers -1 to -5 to any exception inside it, which may come after the transaction.
var maybeCarriedOut = []error{
	zk.ErrConnectionClosed, zk.ErrClosing, errConnectionLoss, errTimeout, errRequestTimeout,
	errSystem, errRuntime, errData, errMarshalling,
}

// Transient reports whether err says nothing about the request itself, so that it may be sent again
// once there is a session. Whether the request was carried out is not known: see [Change.Lost].
func Transient(err error) bool { return isAny(err, notCarriedOut) || isAny(err, maybeCarriedOut) }

// ServerFailed reports whether err is a server's answer that something went wrong inside it, or shows that. A request that has
// brought it again and again is better given up.
func ServerFailed(err error) bool {
	return isAny(err, []error{errRequestTimeout, errSystem, errRuntime, errData, errMarshalling, errMalformed})
}

// Permanent reports whether err will come again if the same request is sent again, as far as anybody can know.
// All other errors may pass: a quota is raised, a node comes or goes, a server recovers.
func Permanent(err error) bool {
	return isAny(err, []error{
		zk.ErrNoAuth, zk.ErrInvalidACL, zk.ErrInvalidPath, zk.ErrInvalidFlags, zk.ErrBadArguments, ErrUnimplemented,
		zk.ErrNoChildrenForEphemerals, ErrTooLarge,
	})
}
