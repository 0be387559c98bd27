package simulation

import (
	"context"
	"fmt"
	"testing"

	"github.com/zkstream/zkstream"
	"go.uber.org/goleak"
)

// kind is what a stream shows of a node.
type kind int

const (
	kindData kind = iota
	kindChildren
	kindInstances
	kindTree
)

func (k kind) String() string { return [...]string{"data", "children", "instances", "tree"}[k] }

// status is what a registration's status is now.
func status(r *zkstream.Registration) zkstream.RegistrationStatus {
	statuses := r.Status(context.Background())
	defer statuses.Close()
	now, _ := statuses.Latest()
	return now
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }
