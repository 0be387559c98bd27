//go:build race

package zkstream_test

const raceEnabled = true
