package calls

import (
	"context"

	"github.com/zkstream/zkstream/internal/zkconn"
	"golang.org/x/sync/errgroup"
)

// How the nodes that ReadNodes reads are shared out: each reader has one request under way at a time.
const (
	mostReaders   = 4
	nodesOfReader = 256 // at least, if there is more than one
)

// ReadNodes reads what k says of each of the nodes, in few requests. Each is repeated, and as new, as Read is. The answers are in the
// order of paths. Answer.Err says why a node could not be read.
func (c *Caller) ReadNodes(ctx context.Context, k zkconn.Kind, paths []string) ([]zkconn.Answer, error) {
	answers := make([]zkconn.Answer, len(paths))
	part := max(nodesOfReader, (len(paths)+mostReaders-1)/mostReaders)
	g, ctx := errgroup.WithContext(ctx)
	for from := 0; from < len(paths); from += part {
		to := min(from+part, len(paths))
		g.Go(func() error { return c.readPart(ctx, k, paths[from:to], answers[from:to]) })
	}
	return answers, g.Wait()
}

func (c *Caller) readPart(ctx context.Context, k zkconn.Kind, paths []string, answers []zkconn.Answer) error {
	for len(paths) > 0 {
		var some []zkconn.Answer
		err := c.repeat(ctx, func() (err error) {
			some, err = c.conn.ReadMany(ctx, k, paths)
			return err
		})
		if err != nil {
			return err
		}
		copy(answers, some)
		paths, answers = paths[len(some):], answers[len(some):]
	}
	return nil
}
