// Package zkgrpc connects gRPC with ZooKeeper: a resolver finds the servers of a service, and a [Registrar] keeps a
// server found.
package zkgrpc
