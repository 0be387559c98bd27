//go:build !race

package zkstream

const raceEnabled = false
