package main

import (
	"bufio"
	"iter"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
)

func (a *app) exportCommand() *cli.Command {
	return &cli.Command{
		Name:        "export",
		Usage:       "prints a version as a W&B manifest",
		ArgsUsage:   "REF",
		Description: "Prints a W&B manifest, version 1, as JSON.\n\nExample: pinfs export vision/mnist:v3 > manifest.json",
		Action:      a.export,
	}
}

func (a *app) export(c *cli.Context) error {
	o, err := a.openArg(c)
	if err != nil {
		return err
	}
	defer o.close()
	w := bufio.NewWriterSize(a.stdout, 1<<16)
	if err := manifest.Encode(w, o.snap.Meta().Header, o.entries(c)); err != nil {
		return err
	}
	return w.Flush()
}

// entries gives the entries of the version until the command is interrupted.
func (o *opened) entries(c *cli.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for e, err := range o.snap.Entries() {
			if err == nil {
				err = c.Context.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
