package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) setCommand() *cobra.Command {
	var (
		version    int32
		properties []string
	)
	cmd := &cobra.Command{
		Use:   "set PATH [CONTENT]",
		Short: "Change the content of a node, or properties of it",
		Long: `Change the content of a node. Content "-" is the standard input.

With --property, only those properties are changed, and all others are left as they are, byte
by byte, whoever else changes them at the same time.`,
		Example: `  zkstream set /search/motd "hello"
  zkstream set /search/config - < config.json
  zkstream set /search/config --property threads=8 --property name=red`,
		GroupID: groupWrite,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(properties) == 0:
				return cobra.ExactArgs(2)(cmd, args)
			case cmd.Flags().Changed("if-version"):
				return fmt.Errorf("--if-version is for the whole content, not for properties")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			path := nodePath(args[0])
			if len(properties) > 0 {
				return client.UpdateProperties(ctx, path, parseProperties(properties))
			}
			content, err := c.readContent(args[1])
			if err != nil {
				return err
			}
			stat, err := client.Write(ctx, path, content, version)
			if err == nil && c.output == jsonOutput {
				err = c.printJSON(nodeJSON{Path: path, Exists: true, Stat: newStatJSON(stat)})
			}
			return err
		}),
	}
	cmd.Flags().Int32Var(&version, "if-version", zkstream.AnyVersion, "only if the node has this `version`")
	cmd.Flags().StringArrayVar(&properties, "property", nil, "set `name=value`, a value of JSON or else a text; may be repeated")
	return cmd
}

// parseProperties reads arguments of the form name=value. A value is JSON, or else a text. It returns nil for none.
func parseProperties(args []string) map[string]any {
	if len(args) == 0 {
		return nil
	}
	props := map[string]any{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if json.Valid([]byte(value)) {
			props[name] = json.RawMessage(value)
		} else {
			props[name] = value
		}
	}
	return props
}
