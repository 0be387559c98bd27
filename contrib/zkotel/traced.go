package zkotel

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

func (i *Instrumentation) connect(a zkstream.ConnectTrace) {
	attributes := i.common
	if a.Stage != "" {
		attributes = append(attributes[:len(attributes):len(attributes)], semconv.ErrorTypeKey.String(a.Stage))
	}
	i.attempts.Add(context.Background(), 1, metric.WithAttributes(attributes...))
}

func (i *Instrumentation) resynced(r zkstream.ResyncTrace) {
	i.resyncs.Record(context.Background(), r.Took.Seconds(), metric.WithAttributes(i.common...))
}

// call is called in the caller's goroutine, with its context, when the call has ended.
func (i *Instrumentation) call(ctx context.Context, call zkstream.CallTrace) {
	name := operation(call.Op)
	attributes := append([]attribute.KeyValue{semconv.DBOperationName(name)}, i.common...)
	i.mu.Lock()
	attributes = append(attributes, i.server...)
	i.mu.Unlock()
	description := "" // of an error
	if call.Err != nil {
		failure := failure(ctx, call.Err)
		description = failure[0].Value.AsString()
		attributes = append(attributes, failure...)
	}
	i.durations.Record(ctx, call.Took.Seconds(), metric.WithAttributes(attributes...))

	if i.paths {
		name += " " + call.Path
		attributes = append(attributes, attribute.String("zookeeper.path", call.Path))
	}
	_, span := i.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(call.Began),
		trace.WithAttributes(attributes...))
	if call.Err != nil {
		if i.paths {
			description = call.Err.Error() // which may have paths in it
		}
		span.SetStatus(codes.Error, description)
	}
	span.End(trace.WithTimestamp(call.Began.Add(call.Took)))
}

// operation returns ZooKeeper's name for what a call does. An update of properties is several operations.
func operation(op string) string {
	switch op {
	case "get":
		return "getData"
	case "set":
		return "setData"
	case "list":
		return "getChildren"
	case "getacl":
		return "getACL"
	case "setacl":
		return "setACL"
	case "update":
		return "updateProperties"
	}
	return op
}

// refusals are what servers answer, by the names of ZooKeeper's own KeeperException.Code.
var refusals = []struct {
	err  error
	code string
}{
	{zk.ErrNoNode, "NONODE"},
	{zk.ErrNodeExists, "NODEEXISTS"},
	{zk.ErrBadVersion, "BADVERSION"},
	{zk.ErrNotEmpty, "NOTEMPTY"},
	{zk.ErrNoAuth, "NOAUTH"},
	{zk.ErrAuthFailed, "AUTHFAILED"},
	{zk.ErrInvalidACL, "INVALIDACL"},
	{zk.ErrNoChildrenForEphemerals, "NOCHILDRENFOREPHEMERALS"},
	{zkstream.ErrQuotaExceeded, "QUOTAEXCEEDED"},
	{zkstream.ErrUnimplemented, "UNIMPLEMENTED"},
}

// failure returns error.type first, and then, if the error is a server's, db.response.status_code.
func failure(ctx context.Context, err error) []attribute.KeyValue {
	kind := "_OTHER"
	switch {
	case errors.Is(err, zkstream.ErrUnknown):
		kind = "outcome_unknown"
	case errors.Is(err, zkstream.ErrTooLarge):
		kind = "too_large"
	case errors.Is(err, zkstream.ErrClosed):
		kind = "closed"
	default:
		for _, r := range refusals {
			if errors.Is(err, r.err) {
				return []attribute.KeyValue{semconv.ErrorTypeKey.String(r.code), semconv.DBResponseStatusCode(r.code)}
			}
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
			kind = "deadline_exceeded"
		case errors.Is(err, context.Canceled) || ctx.Err() != nil:
			kind = "canceled"
		}
	}
	return []attribute.KeyValue{semconv.ErrorTypeKey.String(kind)}
}
