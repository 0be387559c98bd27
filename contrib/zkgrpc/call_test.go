package zkgrpc_test

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

const addrKey = "served-by"

func addrTrailer(addr string) metadata.MD { return metadata.Pairs(addrKey, addr) }

// call asks a provider, and returns which.
func call(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) (string, error) {
	var trailer metadata.MD
	_, err := grpc_health_v1.NewHealthClient(cc).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, append(opts, grpc.Trailer(&trailer))...)
	if err != nil {
		return "", err
	}
	return trailer.Get(addrKey)[0], nil
}
