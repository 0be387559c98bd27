module github.com/zkstream/zkstream/contrib/zkgrpc

go 1.25.0

replace github.com/zkstream/zkstream => ../..

require (
	github.com/go-zookeeper/zk v1.0.4
	github.com/zkstream/zkstream v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/sync v0.22.0
	google.golang.org/grpc v1.84.0
	google.golang.org/protobuf v1.36.11
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260706201446-f0a921348800 // indirect
)
