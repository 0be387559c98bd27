//go:build !unix

package main

import "os"

// handedOn are the signals that a child gets when this command gets them.
var handedOn = []os.Signal{os.Interrupt}

// sentByTerminal reports whether a child has such a signal already: consoles send an interrupt to all their processes.
func sentByTerminal(os.Signal) bool { return true }
