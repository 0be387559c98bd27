package main

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// sleeper is a contender that obeys nothing.
const sleeper = "sleeper"

// TestMain makes the test's program a contender where it is asked to be one.
func TestMain(m *testing.M) {
	switch name := os.Getenv(contenderEnv); name {
	case "":
		goleak.VerifyTestMain(m)
	case sleeper:
		say("ready")
		select {}
	default:
		if err := contend(name, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
