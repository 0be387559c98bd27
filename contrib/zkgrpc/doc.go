// Package zkgrpc connects gRPC with ZooKeeper: a resolver follows the servers of a service, and a [Registrar] keeps a
// server among them for as long as it serves.
//
//	builder := zkgrpc.NewBuilder(client)
//	conn, err := grpc.NewClient("zk:///search/providers", grpc.WithResolvers(builder), ...)
//
//	err := zkgrpc.Registrar{Client: client, Path: "/search/providers"}.Serve(ctx, server, listener)
//
// A program that has nothing but a target, "zk://zk1:2181,zk2:2181/search/providers", takes a [DialingBuilder].
//
// # Which servers get calls
//
// The servers are the nodes below the path, in the format that [WithFormat] names: zkstream's own, or that of any
// registry in package discovery. Those are given to gRPC that are up and have a weight above 0, sorted by address, each
// address once. Nodes that are no servers are left out, and logged.
//
// gRPC's default policy, pick_first, has every client use the first address that it can reach. Most services want another:
//
//	grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`)
//
// Weights are those of gRPC's own weight attribute. The policy ring_hash goes by them, and pick_first where it shuffles;
// round_robin does not, and weighted_round_robin goes by what servers report of their load. A policy of your own
// reads all that a node says by [FromAttributes]. The lists are in both of gRPC's forms, endpoints and addresses, so
// that balancers of either kind work. A changed property is no new connection.
//
// # When there is no list
//
// An empty list is never given to gRPC: with it, round_robin would end all connections at once. A service
// without servers more often is one whose sessions have all expired in one outage, or a path that somebody has
// deleted, than one that nobody serves any more. So the last good list is kept, also for ClientConns that come
// back from idle mode, and calls succeed or fail by whether the servers are there. [AllowEmpty] changes that. Whoever reuses addresses for
// other services must have clients check whom they have reached, as TLS does.
//
// While ZooKeeper cannot be reached the list stays as it is. A ClientConn that has never had a list fails calls, after a
// second without a connection to ZooKeeper or ten with one, with status Unavailable and an error that says what is
// missing: the node, the servers, the permission, the session. Calls that wait for a ready server (grpc.WaitForReady) go on
// waiting. No error is the end: a service that cannot be read is tried again after pauses of up to half a minute, and sooner when gRPC asks.
//
// # Calls that fail
//
// A server that ends as a [Registrar] ends it costs no call. When one is killed, the calls that were under way there
// fail with Unavailable, and nobody knows whether they were carried out. A retryPolicy in the service config makes
// them again elsewhere. That is safe for methods that may be carried out twice: those that read, and those that
// write the same whenever they are called with the same arguments. It is not for those that add to something. gRPC itself repeats without
// being asked what it knows that no server has seen. The program in examples/failover shows it.
//
// A killed server's node stays until its session has expired, for the session timeout, and the list has it so long.
// Policies that use all servers find out by themselves that it cannot be reached.
//
// # Names and TLS
//
// gRPC derives the name that a server's certificate must have from the target, and "search%2Fproviders" is in none. Say it
// with [grpc.WithAuthority]. It is never taken from a node: who may write the node would choose who is trusted.
//
// With HTTPS_PROXY set, gRPC connects through the proxy; [grpc.WithNoProxy] is for servers in the same network.
package zkgrpc
