package discovery

import (
	"context"
	"errors"

	"github.com/zkstream/zkstream"
)

// Register announces a server, as an instance of the service at path: it creates the ephemeral node that the format
// has for it, and keeps it in place as Client.Register does, with whose contract for ctx, errors and the end. The
// node is read-only for others unless opts say otherwise.
//
// Registration.Update works with the formats whose content is a JSON object, which all here are, but it sets members
// of that object: with most formats it is clearer to close the registration and to make another.
//
// Before the server is asked, the error, a *zkstream.PathError, says what the format cannot express.
func Register(ctx context.Context, c *zkstream.Client, path string, f Format, e Endpoint, opts ...zkstream.RegisterOption) (*zkstream.Registration, error) {
	fail := func(err error) (*zkstream.Registration, error) {
		return nil, &zkstream.PathError{Op: "register", Path: path, Err: err}
	}
	if f == nil {
		return fail(errNoFormat)
	}
	node, err := f.Encode(path, e)
	if err != nil {
		return fail(err)
	}
	if node.Persistent {
		return fail(errors.New("the node of a registration goes with its session, and this one is meant to stay"))
	}
	// What its own format cannot read is no registration. And Register checks that the address can be dialled.
	decoded, err := f.Decode(node.Name, node.Content)
	if err != nil {
		return fail(err)
	}
	all := []zkstream.RegisterOption{zkstream.WithName(node.Name), zkstream.WithContent(node.Content)}
	if node.Sequential {
		all = append(all, zkstream.WithSequence())
	}
	return c.Register(ctx, path, decoded.Addr, nil, append(all, opts...)...)
}

var errNoFormat = errors.New("the format is nil")
