// Package simulation has a few clients live through random schedules of faults, in virtual time on servers
// in memory, and then checks all that zkstream promises. It knows zkstream by its public API alone. Its
// checks are checked as well: with a fault planted into a copy of the library it has to fail.
//
//	go test ./internal/simulation -args -seeds 10000   # that many schedules
//	go test -v ./internal/simulation -args -seed 42    # one of them, with all that happens in it
package simulation
