package zkconn

import (
	"errors"
	"fmt"
	"io"
)

// serverAbilities are what is known of one server. It is guarded by Conn.mu.
type serverAbilities struct {
	abilities
	probed bool           // multiRead is known
	proven map[int32]bool // opcodes that it has answered
	cutOff map[int32]int  // opcodes at which it has closed the connection, in a row, and has never answered
}

// mostCutOff is how often in a row a server may close the connection, instead of answering a request of a sort
// that it has never answered, before it counts as one that does not know it.
const mostCutOff = 3

// abilitiesOfLocked returns what is known of a server.
func (c *Conn) abilitiesOfLocked(addr string) *serverAbilities {
	a := c.servers[addr]
	if a == nil {
		a = &serverAbilities{abilities: abilities{setWatches: true}, proven: map[int32]bool{}, cutOff: map[int32]int{}}
		c.servers[addr] = a
	}
	return a
}

// answersTo notes that a server has answered a request.
func (c *Conn) answersTo(addr string, op, code int32) {
	if op != opMultiRead && op != opSetWatches {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.abilitiesOfLocked(addr)
	switch {
	case code == 0:
		a.proven[op] = true
		delete(a.cutOff, op)
	case code == codeUnimplemented:
		a.lacks(op)
	}
}

// cutOffAt notes that a server has closed the connection instead of answering a request.
func (c *Conn) cutOffAt(addr string, op int32) {
	if op != opMultiRead && op != opSetWatches {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.abilitiesOfLocked(addr)
	if a.proven[op] {
		return
	}
	if a.cutOff[op]++; a.cutOff[op] >= mostCutOff {
		c.log.Warn("zkstream: the server closes the connection at a request; it is not sent again", "server", addr, "opcode", op)
		a.lacks(op)
	}
}

func (a *serverAbilities) lacks(op int32) {
	a.multiRead = false // without SetWatches it is of no use
	a.probed = true
	if op == opSetWatches {
		a.setWatches = false
	}
}

// probe finds out, on the first connection to a server, whether it knows multiRead: by an empty one. A server before
// ZooKeeper 3.6 answers that it does not, or nothing, and closes the connection, which the session survives. It is
// sent within the handshake, so that nothing else is lost by that.
func (w *wire) probe() error {
	c := w.conn
	c.mu.Lock()
	known := c.abilitiesOfLocked(w.addr)
	w.own.abilities = known.abilities
	probed := known.probed
	c.mu.Unlock()
	if probed || c.cfg.noProbe || c.cfg.Watches == nil {
		return nil
	}
	w.send(packet(nil).begin(firstXid+1, opMultiRead).multiEnd().end(0), c.hosts.attemptLimit())
	var head [4 + replyHeader]byte
	_, err := io.ReadFull(w.r, head[:])
	code, size := packet(head[:]).int32At(atReplyCode), int(packet(head[:]).int32At(0))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		c.cutOffAt(w.addr, opMultiRead)
		return errors.New("the server closed the connection during the handshake")
	case err != nil:
		return err
	case packet(head[:]).int32At(atReplyXid) != firstXid+1 || size < replyHeader || size > maxHandshake:
		return fmt.Errorf("protocol error: %d bytes with xid %d in answer to a multiRead", size, packet(head[:]).int32At(atReplyXid))
	}
	if _, err := w.r.Discard(size - replyHeader); err != nil {
		return err
	}
	if code == codeAuthRequired {
		return ErrAuthRequired // whatever else the server can
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known.probed = true
	known.multiRead = code == 0
	w.own.abilities = known.abilities
	if code != 0 {
		known.lacks(opMultiRead)
		return fmt.Errorf("the server has no multiRead (%w): connecting again without", codeError(code))
	}
	return nil
}

// lost ends the connection, which could not be read for that reason.
func (w *wire) lost(err error) {
	if _, op, found := w.own.oldest(); found && w.handshakeDone {
		select {
		case <-w.closed: // by this side
		default:
			w.conn.cutOffAt(w.addr, op)
		}
	}
	w.end(err)
}
