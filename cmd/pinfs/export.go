package main

import (
	"bufio"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/registry/publish"
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
	if err := publish.Export(c.Context, o.snap, w); err != nil {
		return err
	}
	return w.Flush()
}
