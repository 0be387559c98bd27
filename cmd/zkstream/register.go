package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) registerCommand() *cobra.Command {
	var r registrar
	cmd := &cobra.Command{
		Use:   "register PATH ADDRESS [NAME=VALUE...] [-- COMMAND...]",
		Short: "Keep a server registered, for as long as a command runs",
		Long: `Create the ephemeral node PATH/ADDRESS, with those properties, and keep it in place until a
signal ends this command, or until the COMMAND has ended, which is started when the node is
there. An ADDRESS such as ":8080" is each address of this host with that port.

The COMMAND has the standard input and outputs. It gets the signals that this command gets,
and this command ends with its status. With --drain the first signal that asks for an end takes the
node away, and the COMMAND gets the signal that much later: clients have left it by then.`,
		Example: `  zkstream register /search/providers 10.0.0.5:8080 weight=3 -- ./search --listen :8080`,
		GroupID: groupFollow,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				if len(args) == n {
					return errors.New("no command after --")
				}
				args, r.command = args[:n], args[n:]
			}
			if len(args) < 2 {
				return errors.New("want PATH and ADDRESS")
			}
			for _, arg := range args[2:] {
				if !strings.Contains(arg, "=") {
					return fmt.Errorf("%q: want NAME=VALUE; a command stands after --", arg)
				}
			}
			if r.drain > 0 && len(r.command) == 0 {
				return errors.New("--drain is for a command")
			}
			return nil
		},
		RunE: c.lasting(func(ctx context.Context, client *zkstream.Client, args []string) error {
			r.cli, r.client = c, client
			return r.run(ctx, nodePath(args[0]), args[1], args[2:len(args)-len(r.command)])
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.name, "name", "", "`name` of the node, instead of the address")
	flags.StringVar(&r.content, "content", "", "`content` of the node, instead of properties")
	flags.BoolVar(&r.sequential, "sequential", false, "have the server append a number to the node's name")
	flags.StringArrayVar(&r.acl, "acl", nil, "`entry` of the node's access control list, such as world:anyone:r; may be repeated")
	flags.DurationVar(&r.drain, "drain", 0, "`time` from the node's end to the command's signal")
	return cmd
}

// registrar keeps registrations in place.
type registrar struct {
	*cli
	client        *zkstream.Client
	name, content string
	sequential    bool
	acl           []string
	drain         time.Duration
	command       []string

	registrations []*zkstream.Registration
}

func (r *registrar) run(ctx context.Context, path, addr string, properties []string) error {
	opts, err := r.options()
	if err != nil {
		return err
	}
	addrs, err := zkstream.Advertise(addr)
	if err != nil {
		return err
	}
	// The registrations outlive a signal if there is a command, which gets it first.
	registered, withdraw := context.WithCancel(context.WithoutCancel(ctx))
	defer withdraw()
	interruptible := context.AfterFunc(ctx, withdraw)
	defer interruptible()
	for _, addr := range addrs {
		registration, err := r.client.Register(registered, path, addr, parseProperties(properties), opts...)
		if err != nil {
			return err
		}
		r.registrations = append(r.registrations, registration)
	}
	if len(r.command) > 0 && !interruptible() {
		return ctx.Err()
	}
	var logs sync.WaitGroup
	defer logs.Wait()
	defer r.withdraw()
	for _, registration := range r.registrations {
		if len(r.command) == 0 { // the standard output is the command's
			r.printPath(registration.Path())
		}
		states := registration.Status(registered)
		logs.Go(func() { r.log(registration, states) })
	}
	if err := r.out.Flush(); err != nil {
		return err
	}
	if len(r.command) > 0 {
		return r.runChild(r.command, r.withdrawFirst)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r *registrar) options() ([]zkstream.RegisterOption, error) {
	var opts []zkstream.RegisterOption
	if r.name != "" {
		opts = append(opts, zkstream.WithName(r.name))
	}
	if r.content != "" {
		opts = append(opts, zkstream.WithContent([]byte(r.content)))
	}
	if r.sequential {
		opts = append(opts, zkstream.WithSequence())
	}
	if len(r.acl) > 0 {
		acl, err := parseACL(r.acl)
		if err != nil {
			return nil, err
		}
		opts = append(opts, zkstream.WithACL(acl))
	}
	return opts, nil
}

// log writes a line on the standard error each time that a registration's status changes.
func (r *registrar) log(registration *zkstream.Registration, states *zkstream.Stream[zkstream.RegistrationStatus]) {
	before := zkstream.Registered
	for state := range states.All() {
		if state == before && state == zkstream.Registered {
			continue
		}
		before = state
		line := fmt.Sprintf("zkstream: %s: %v", registration.Path(), state)
		if err := registration.Refusal(); err != nil {
			line += ": " + strings.TrimPrefix(err.Error(), "zkstream: ")
		}
		fmt.Fprintln(r.stderr, line)
	}
}

// withdrawFirst withdraws the registrations and waits for the time of --drain.
func (r *registrar) withdrawFirst(ctx context.Context) {
	if r.drain <= 0 {
		return
	}
	r.withdraw()
	select {
	case <-time.After(r.drain):
	case <-ctx.Done():
	}
}

// withdraw ends all registrations at once, and waits until they have ended.
func (r *registrar) withdraw() {
	var wg sync.WaitGroup
	for _, registration := range r.registrations {
		wg.Go(func() {
			if err := registration.Close(); err != nil {
				fmt.Fprintln(r.stderr, "zkstream:", err)
			}
		})
	}
	wg.Wait()
}
