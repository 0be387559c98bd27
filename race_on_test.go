//go:build race

package zkstream

const raceEnabled = true
