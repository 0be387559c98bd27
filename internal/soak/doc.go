// Package soak is a test of endurance: many clients in one process, with their streams and registrations,
// on a real ZooKeeper whose connections are cut and whose sessions expire; and in the course of it memory,
// goroutines and file descriptors must not grow.
//
//	go test -timeout 0 -v ./internal/soak -args -for 1h
//
// Without -for a small version runs, in seconds, so that "go test ./..." covers it.
package soak
