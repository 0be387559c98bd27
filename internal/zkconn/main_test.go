package zkconn

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/zkstream/zkstream/internal/ensemble"
	"go.uber.org/goleak"
)

var zooKeeper ensemble.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(zooKeeper.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "something is left:", err)
		code = 1
	}
	os.Exit(code)
}
