package main

import (
	"context"
	enchex "encoding/hex"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) getCommand() *cobra.Command {
	var property string
	cmd := &cobra.Command{
		Use:   "get PATH",
		Short: "Write the content of a node",
		Long: `Write the content of a node, byte for byte.

Only on a terminal a newline is added where there is none, and what is not text is shown as a
hex dump.`,
		GroupID: groupRead,
		Args:    cobra.ExactArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			d, err := client.Get(ctx, nodePath(args[0]))
			if err == nil {
				err = missing(d, "get")
			}
			switch {
			case err != nil:
				return err
			case property != "":
				return c.printProperty(d.Properties(), property)
			case c.output == jsonOutput:
				return c.printJSON(newNodeJSON(d, true))
			}
			return c.printContent(d.Bytes())
		}),
	}
	cmd.Flags().StringVar(&property, "property", "", "write only the property of this `name`")
	return cmd
}

// missing returns an error if there is no node.
func missing(d zkstream.Data, op string) error {
	if d.Exists() {
		return nil
	}
	return noNode(op, d.Path())
}

func (c *cli) printContent(content []byte) error {
	if c.terminal(c.stdout) {
		if !printable(content) {
			dumper := enchex.Dumper(c.out)
			dumper.Write(content)
			return dumper.Close()
		}
		if n := len(content); n > 0 && content[n-1] != '\n' {
			content = append(content, '\n')
		}
	}
	_, err := c.out.Write(content)
	return err
}

// printProperty writes a string as it is, anything else as JSON.
func (c *cli) printProperty(p zkstream.Properties, name string) error {
	raw, err := zkstream.Value[json.RawMessage](p, name)
	if err != nil {
		return err
	}
	text := string(raw)
	if s, err := zkstream.Value[string](p, name); err == nil && c.output == textOutput {
		text = s
	}
	return c.printContent([]byte(text + "\n"))
}

// readContent returns an argument, or the standard input if it is "-".
func (c *cli) readContent(arg string) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	return io.ReadAll(c.stdin)
}
