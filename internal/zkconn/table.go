package zkconn

import "github.com/go-zookeeper/zk"

// Kind is what is read of a node, and so which watch is set there.
type Kind uint8

// The kinds of watches.
const (
	Data     Kind = iota // the content: a data watch
	Children             // the names of the children: a child watch
	Stat                 // existence and metadata: a data watch

	Kinds = iota // how many there are
)

// String returns the kind's name in lower case.
func (k Kind) String() string { return [...]string{"data", "children", "stat"}[k] }

// A Watch says what of a node is to be read, and watched for changes.
type Watch struct {
	Node
	Kind Kind
}

// A Node is the Table's own note of a node.
type Node interface {
	Path() string // as the server has it
}

// An Answer is what the server says of a node.
type Answer struct {
	Err    error // nil also if there is no node
	Exists bool
	Stat   zk.Stat  // zero if there is no node
	Data   string   // of Data
	Names  []string // of Children, as the server orders them
	Zxid   int64    // the answer is as new as this, at least
	Armed  bool     // the node's watch is set
}

// Paths are nodes whose watches are to be set by one request, by what is to be watched for.
type Paths struct {
	Data   []string // a change of the content, or the node's end
	Exist  []string // the node's creation
	Child  []string // a change of the list of children, or the node's end
	length int      // bytes that they take in a request
}

// Add adds w, whose node exists or does not.
func (p *Paths) Add(w Watch, exists bool) {
	path := w.Path()
	switch {
	case !exists:
		p.Exist = append(p.Exist, path)
	case w.Kind == Children:
		p.Child = append(p.Child, path)
	default:
		p.Data = append(p.Data, path)
	}
	p.length += 4 + len(path)
}

// Known are watches of nodes that were read as of a zxid, and are only to be set.
type Known struct {
	Watches []Watch
	Paths   Paths
	Zxid    int64
}

// A Table holds the watches that a Conn reads for, and knows which of them are stale: changed since they
// were read, or never read. Its methods are called while the connection's own locks are held, or by the
// goroutine that receives, in the order in which the server has sent. So they do not block, and do not call
// the Conn.
type Table interface {
	// Attached is called on a new network connection, before anything is received on it. Requests without
	// an answer are lost. If resumed is true, the session is the one of before: the result is the watches
	// that were armed and not stale, for the Conn to set them again. Otherwise everything is stale.
	Attached(resumed bool) Paths

	// Next takes watches from the stale ones, in order, for as long as take is true of their expected size,
	// in bytes or 0 if it is not known; none if there are fewer than least. The Conn then asks for them.
	Next(least int, take func(size int) bool) []Watch

	// Drained is called when all that has arrived was handled, before Next and Evicted are asked. It takes watches
	// that are only to be set: Armed or Unarmed follows.
	Drained() []Known

	// Evicted takes at most most watches that the server may forget.
	Evicted(most int) []Watch

	// Answered takes the answer of a watch that Next has given. Where a.Armed says that the watch is not set, Drained gives
	// it if it is to be.
	Answered(w Watch, a *Answer)

	// Armed says that watches have been set, or were set already, and that up to zxid nothing has changed of them
	// but what Fired has said, unless an event was lost.
	Armed(ws []Watch, zxid int64)

	// Unarmed says that watches could not be set: they are to be read again.
	Unarmed(ws []Watch)

	// Fired says that a node has changed, and that its watch of that sort is used up.
	Fired(path string, event zk.EventType)
}

// noTable is for a Conn without watches.
type noTable struct{}

func (noTable) Attached(bool) Paths              { return Paths{} }
func (noTable) Drained() []Known                 { return nil }
func (noTable) Evicted(int) []Watch              { return nil }
func (noTable) Next(int, func(int) bool) []Watch { return nil }
func (noTable) Answered(Watch, *Answer)          {}
func (noTable) Armed([]Watch, int64)             {}
func (noTable) Unarmed([]Watch)                  {}
func (noTable) Fired(string, zk.EventType)       {}
