package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serve runs a server until ctx ends. Then clients leave, and no call fails; when it is killed, they find out.
func serve(ctx context.Context, servers string) error {
	client, err := zkstream.Connect(ctx, servers)
	if err != nil {
		return err
	}
	defer client.Close()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&pidService, nil)
	fmt.Println("server", os.Getpid(), "on", lis.Addr())
	return zkgrpc.Registrar{Client: client, Path: path}.Serve(ctx, server, lis)
}

// pidService is what protoc makes of
//
//	service Pid { rpc Get(google.protobuf.Empty) returns (google.protobuf.Int64Value); }
//
// Its one method answers with the number of the server's process.
var pidService = grpc.ServiceDesc{
	ServiceName: "Pid",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Get",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(emptypb.Empty)); err != nil {
				return nil, err
			}
			return wrapperspb.Int64(int64(os.Getpid())), nil
		},
	}},
}

// getPid is the client's side of it.
func getPid(ctx context.Context, conn *grpc.ClientConn) (int, error) {
	var pid wrapperspb.Int64Value
	err := conn.Invoke(ctx, "/Pid/Get", new(emptypb.Empty), &pid)
	return int(pid.Value), err
}
