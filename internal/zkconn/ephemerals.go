package zkconn

import "context"

// Ephemerals returns the paths of the session's ephemeral nodes that begin with prefix (getEphemerals). It is for
// those nodes that the client may not read: whose they are a server tells in no other way from ZooKeeper 3.8.4 and
// 3.9.2 on. Servers before 3.6 end the connection. Call it in a function that Do or Run calls, with their ctx.
//
// go-zookeeper does not have this request, so it is one of zkconn's own.
func (c *Conn) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	a, err := c.ask(ctx, opGetEphemerals, ownRequest{purpose: forEphemerals}, func(p packet) packet { return p.string(prefix) })
	return a.Names, err
}

// listed handles the answer to a getEphemerals.
func (r *requests) listed(q ownRequest, code int32, b *body) {
	var a Answer
	if code != 0 {
		a.Err = codeError(code)
	} else {
		var complete bool
		switch a.Names, complete = b.names(r.wire.conn.maxReply); {
		case b.err != nil:
			a.Err = errMalformed
		case !complete:
			a.Err = errReplyTooLarge
		}
	}
	q.answer <- a // there is room
}
