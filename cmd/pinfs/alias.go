package main

import (
	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
)

func (a *app) aliasCommand() *cli.Command {
	return &cli.Command{
		Name:  "alias",
		Usage: "moves and removes aliases",
		Description: `Example: pinfs alias set vision/mnist:v3 best
         pinfs alias rm vision/mnist best`,
		Subcommands: []*cli.Command{{
			Name:        "set",
			Usage:       "moves aliases to a version",
			ArgsUsage:   "REF ALIAS...",
			Description: "Example: pinfs alias set vision/mnist:v3 best production",
			Action:      a.aliasSet,
		}, {
			Name:        "rm",
			Usage:       "removes aliases from an artifact",
			ArgsUsage:   "P/A ALIAS...",
			Description: "Example: pinfs alias rm vision/mnist best",
			Action:      a.aliasRemove,
		}},
		Action: func(c *cli.Context) error {
			return usage("alias", "", "set or rm is missing", "usage: pinfs alias set REF ALIAS... or pinfs alias rm P/A ALIAS...")
		},
	}
}

func (a *app) aliasSet(c *cli.Context) error {
	args, err := aliasArgs(c)
	if err != nil {
		return err
	}
	n, err := parseName(c, args[0])
	if err != nil {
		return err
	}
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.SetAlias(c.Context, n, args[1:]...); err != nil {
		return err
	}
	v, err := r.Resolve(c.Context, n)
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return a.printJSON(map[string]any{"name": fullName(v), "version": versionName(v), "aliases": v.Aliases})
	}
	return nil
}

func (a *app) aliasRemove(c *cli.Context) error {
	args, err := aliasArgs(c)
	if err != nil {
		return err
	}
	n, err := parseArtifact(c, "alias rm", args[0])
	if err != nil {
		return err
	}
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.RemoveAlias(c.Context, n.Project, n.Artifact, args[1:]...); err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return a.printJSON(map[string]any{"name": n.Project + "/" + n.Artifact, "removed": args[1:]})
	}
	return nil
}

// aliasArgs gives the name and the aliases, all of which must be well formed
// before any is touched.
func aliasArgs(c *cli.Context) ([]string, error) {
	args, err := positional(c, 2, -1)
	if err != nil {
		return nil, err
	}
	for _, alias := range args[1:] {
		if err := manifest.CheckAlias(alias); err != nil {
			return nil, err
		}
	}
	return args, nil
}
