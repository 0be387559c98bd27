// Package compat holds tests only: other ZooKeeper clients, with their own tests, work with zktest as
// they work with the real server.
//
//   - kazoo (Python): its own test-suite, which is part of its package.
//   - Curator (Java): a program that uses its recipes; what it prints is compared.
//   - go-zookeeper/zk (Go): its own tests, those that start a server too.
//
// Everything runs twice, on a real ZooKeeper and on zktest, and is compared test by test or line by line.
// What passes on the real server must pass on zktest. The kazoo and go-zookeeper suites start their
// servers themselves, as processes; here the process that they start has zktest serve instead, so that
// neither suite is changed.
//
// The suites run where ZKSTREAM_COMPAT is set, as "make compat" has it, which brings what they need: the newest
// versions, or Debian's. Where something is missing, they fail and say what.
package compat
