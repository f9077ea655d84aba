package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
)

func (a *app) showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "tells all about one version, or one file of it",
		ArgsUsage: "REF[/PATH]",
		Description: `Examples: pinfs show vision/mnist:best; pinfs show mnist:v3/train/0.png

JSON of a version: name, version, type, aliases, digest, files, size, created,
description, metadata, run, by; of a file: path, size, digest, ref, pin, and where
they were recorded checksums {algorithm: hex}, chunk_size, source (of a copy).`,
		Action: a.show,
	}
}

func (a *app) show(c *cli.Context) error {
	args, err := positional(c, 1, 1)
	if err != nil {
		return err
	}
	n, path, err := parseNamePath(c, args[0])
	if err != nil {
		return err
	}
	if path != "" {
		return a.showFile(c, n, path)
	}
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	v, err := r.Resolve(c.Context, n)
	if err != nil {
		return err
	}
	d := describeVersion(v)
	if c.Bool(flagJSON) {
		return a.printJSON(d)
	}
	return a.fields("name", d.Name, "version", d.Version, "type", d.Type, "aliases", strings.Join(d.Aliases, ", "),
		"digest", d.Digest, "files", fmt.Sprint(d.Files), "size", size(d.Size), "created", when(d.Created), "by", d.By,
		"run", d.Run, "description", d.Description, "metadata", string(d.Metadata))
}

func (a *app) showFile(c *cli.Context, n manifest.Name, path string) error {
	o, err := a.open(c, n)
	if err != nil {
		return err
	}
	defer o.close()
	node, found, err := o.snap.Find(path)
	if err != nil {
		return err
	}
	if !found {
		return noSuchPath("show", o.version, path)
	}
	if node.Dir {
		return usage("show", path, "a directory", "pinfs ls lists what is in it")
	}
	e, err := o.snap.Entry(node.Index)
	if err != nil {
		return err
	}
	f := recordFile(e)
	if c.Bool(flagJSON) {
		return a.printJSON(f)
	}
	chunks := ""
	if f.ChunkSize > 0 {
		chunks = "of " + size(f.ChunkSize)
	}
	return a.fields("path", f.Path, "size", fileSize(f.Size), "digest", f.Digest, "ref", f.Ref, "source", f.Source, "pin", f.Pin,
		"checksums", f.checksumText(), "chunks", chunks)
}

// fields prints names and values, leaving out what is empty.
func (a *app) fields(pairs ...string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", pairs[i], oneLine(pairs[i+1]))
		}
	}
	return w.Flush()
}
