package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

func (a *app) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "makes a version of a W&B manifest",
		ArgsUsage: "FILE",
		Description: `Reads a W&B manifest, version 1, from FILE, or from standard input if that is "-".

Example: pinfs import --name vision/mnist --type dataset wandb_manifest.json

JSON: name, version, digest, files, size, new, aliases.`,
		Flags:  versionFlags(),
		Action: a.importManifest,
	}
}

func (a *app) importManifest(c *cli.Context) error {
	args, err := positional(c, 1, 1)
	if err != nil {
		return err
	}
	t, err := parseTarget(c)
	if err != nil {
		return err
	}
	in, err := a.input(args[0])
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	bar := a.progress(c, "reading")
	result, err := publish.Import(c.Context, publish.ImportOptions{
		Registry: r, Reader: in, Name: t.name, Type: t.typ, Aliases: t.aliases, Description: t.description,
		Metadata: t.metadata, By: by(), Run: env("PINFS_RUN", "WANDB_RUN_ID"),
		Progress: bar.tracked,
	})
	bar.end()
	if err != nil {
		return err
	}
	return a.printResult(c, result)
}

// input opens a file; "-" is standard input.
func (a *app) input(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(a.stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "import", Ref: path, Err: err, Hint: "give the path of a manifest"}
	}
	return f, nil
}
