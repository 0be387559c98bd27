package zktest

import (
	"fmt"

	"github.com/zkstream/zkstream/zktext"
)

// plantLocked makes the nodes of a tree text.
func (e *Ensemble) plantLocked(text string) error {
	root, err := zktext.Parse(text)
	if err != nil {
		return fmt.Errorf("zktest: %w", err)
	}
	return e.plantBelowLocked("", root)
}

func (e *Ensemble) plantBelowLocked(parent string, n *zktext.Node) error {
	for _, child := range n.Children {
		path := parent + "/" + child.Name
		content, err := child.Content()
		if err != nil {
			return fmt.Errorf("zktest: node %s: %w", path, err)
		}
		r := request{op: OpCreate, path: path, data: content, acl: openACL, ttl: -1}
		if _, code := e.leader.addLocked(&r, 0); code != 0 {
			return fmt.Errorf("zktest: node %s: %w", path, code)
		}
		if err := e.plantBelowLocked(path, child); err != nil {
			return err
		}
	}
	return nil
}
