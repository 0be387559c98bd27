package zktest

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
)

func TestCodesAreGoZooKeepersErrorsToo(t *testing.T) {
	same := map[Code]error{
		ErrNoNode: zk.ErrNoNode, ErrNoAuth: zk.ErrNoAuth, ErrBadVersion: zk.ErrBadVersion,
		ErrNoChildrenEphemerals: zk.ErrNoChildrenForEphemerals, ErrNodeExists: zk.ErrNodeExists,
		ErrNotEmpty: zk.ErrNotEmpty, ErrInvalidACL: zk.ErrInvalidACL, ErrBadArguments: zk.ErrBadArguments,
	}
	for code := range codeNames {
		for want, err := range same {
			if got := errors.Is(code, err); got != (code == want) {
				t.Errorf("errors.Is(%v, %v) is %v", code, err, got)
			}
		}
		if errors.Is(code, nil) {
			t.Errorf("errors.Is(%v, nil)", code)
		}
	}
	_, stat, err := Start(t).Get("/missing")
	if !errors.Is(err, zk.ErrNoNode) || !errors.Is(err, ErrNoNode) || errors.Is(err, zk.ErrNodeExists) {
		t.Error(err)
	}
	_ = zk.Stat(stat) // its fields are the same
}

// Every code has a name, and a fault answers with any number, also one that nobody knows.
func TestAFaultAnswersWithAnyCode(t *testing.T) {
	s := Start(t)
	for code := Code(-128); code < 0; code++ {
		if text := code.Error(); codeNames[code] != "" && !strings.Contains(text, codeNames[code]) {
			t.Errorf("%d: %s", code, text)
		}
		c := rawSession(t, s, patience)
		s.Intercept(onOp(OpGetData, Fault{Code: code}))
		if got, rest := c.must(t, request{op: OpGetData, path: "/"}); got != code || len(rest.buf) != 0 {
			t.Errorf("%v instead of %v, %x", got, code, rest.buf)
		}
	}
}
