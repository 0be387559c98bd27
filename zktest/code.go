package zktest

import "fmt"

// Code is a ZooKeeper error code as it stands in a reply header. A Code other than zero is an error:
// errors.Is(err, zktest.ErrNoNode) works on what the Server's own methods return, and so does
// errors.Is(err, zk.ErrNoNode) with go-zookeeper's. A Fault answers a request with any Code, also one that
// has no name here.
type Code int32

// The error codes of ZooKeeper, named as in its KeeperException.Code.
const (
	ErrSystem               Code = -1
	ErrRuntimeInconsistency Code = -2
	ErrDataInconsistency    Code = -3
	ErrConnectionLoss       Code = -4
	ErrMarshalling          Code = -5
	ErrUnimplemented        Code = -6
	ErrOperationTimeout     Code = -7
	ErrBadArguments         Code = -8
	ErrUnknownSession       Code = -12
	ErrNewConfigNoQuorum    Code = -13
	ErrReconfigInProgress   Code = -14
	ErrAPI                  Code = -100
	ErrNoNode               Code = -101
	ErrNoAuth               Code = -102
	ErrBadVersion           Code = -103
	ErrNoChildrenEphemerals Code = -108
	ErrNodeExists           Code = -110
	ErrNotEmpty             Code = -111
	ErrSessionExpired       Code = -112
	ErrInvalidCallback      Code = -113
	ErrInvalidACL           Code = -114
	ErrAuthFailed           Code = -115
	ErrSessionMoved         Code = -118
	ErrNotReadOnly          Code = -119
	ErrEphemeralOnLocal     Code = -120
	ErrNoWatcher            Code = -121
	ErrRequestTimeout       Code = -122
	ErrReconfigDisabled     Code = -123
	ErrAuthRequired         Code = -124 // SESSIONCLOSEDREQUIRESASLAUTH, whatever the scheme
	ErrQuotaExceeded        Code = -125
	ErrThrottledOp          Code = -127
)

var codeNames = map[Code]string{
	ErrSystem:               "system error",
	ErrRuntimeInconsistency: "runtime inconsistency",
	ErrDataInconsistency:    "data inconsistency",
	ErrConnectionLoss:       "connection loss",
	ErrMarshalling:          "marshalling error",
	ErrUnimplemented:        "unimplemented",
	ErrOperationTimeout:     "operation timeout",
	ErrBadArguments:         "bad arguments",
	ErrUnknownSession:       "unknown session",
	ErrNewConfigNoQuorum:    "the new configuration has no quorum",
	ErrReconfigInProgress:   "reconfiguration is in progress",
	ErrAPI:                  "API error",
	ErrNoNode:               "no node",
	ErrNoAuth:               "not authorised",
	ErrBadVersion:           "bad version",
	ErrNoChildrenEphemerals: "ephemeral nodes have no children",
	ErrNodeExists:           "node exists",
	ErrNotEmpty:             "node has children",
	ErrSessionExpired:       "session expired",
	ErrInvalidCallback:      "invalid callback",
	ErrInvalidACL:           "invalid ACL",
	ErrAuthFailed:           "authentication failed",
	ErrSessionMoved:         "session moved",
	ErrNotReadOnly:          "server is read-only",
	ErrEphemeralOnLocal:     "ephemeral node on a local session",
	ErrNoWatcher:            "no such watch",
	ErrRequestTimeout:       "request timeout",
	ErrReconfigDisabled:     "reconfiguration is disabled",
	ErrAuthRequired:         "authentication required",
	ErrQuotaExceeded:        "quota exceeded",
	ErrThrottledOp:          "operation throttled",
}

// Error says what the code means, and its number.
func (c Code) Error() string {
	if name, ok := codeNames[c]; ok {
		return fmt.Sprintf("zktest: %s (%d)", name, int32(c))
	}
	return fmt.Sprintf("zktest: error code %d", int32(c))
}

// goZooKeeper are the texts of go-zookeeper's errors, which have no code that could be compared. This package
// does not import it.
var goZooKeeper = map[Code]string{
	ErrNoNode:               "zk: node does not exist",
	ErrNoAuth:               "zk: not authenticated",
	ErrBadVersion:           "zk: version conflict",
	ErrNoChildrenEphemerals: "zk: ephemeral nodes may not have children",
	ErrNodeExists:           "zk: node already exists",
	ErrNotEmpty:             "zk: node has children",
	ErrInvalidACL:           "zk: invalid ACL specified",
	ErrBadArguments:         "invalid arguments",
}

// Is makes errors.Is(err, zk.ErrNoNode) hold for ErrNoNode, and so on for the errors that the Server's own methods
// return. It goes by the text of go-zookeeper's error.
func (c Code) Is(target error) bool {
	text, ok := goZooKeeper[c]
	return ok && target != nil && target.Error() == text
}

// err is nil for zero, so that a Code can be returned as an error.
func (c Code) err() error {
	if c == 0 {
		return nil
	}
	return c
}
