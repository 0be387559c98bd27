package compat

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(hostVariable); addr != "" {
		os.Exit(standIn(addr))
	}
	goleak.VerifyTestMain(m)
}
