package main

import (
	"context"
	"errors"
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
	in, err := a.input(c.Context, args[0])
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

// input opens a file; "-" is standard input. Either may be a pipe that nobody
// writes to, so the end of ctx ends the opening and the reading.
func (a *app) input(ctx context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		return interruptible(ctx, io.NopCloser(a.stdin)), nil
	}
	var f *os.File
	var err error
	opened := make(chan struct{})
	go func() {
		f, err = os.Open(path)
		close(opened)
	}()
	select {
	case <-opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "import", Ref: path, Err: err, Hint: "give the path of a manifest"}
	}
	return interruptible(ctx, f), nil
}

// interruptible reads r until ctx ends. A read of r that is then under way goes
// on until this process ends.
func interruptible(ctx context.Context, r io.ReadCloser) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(errors.Join(err, r.Close()))
	}()
	context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
	return out
}
