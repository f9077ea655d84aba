package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/registry/download"
)

func (a *app) getCommand() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "downloads a version, each file verified",
		ArgsUsage: "REF",
		Description: `Makes a tree of files under ./artifacts/ARTIFACT:vN, or under --root. A file that
can no longer be had as it was recorded is an error and is not written. Files that
are there already and right are left alone. References that were recorded with
--no-checksum are listed, and give what is there now.

Example: pinfs get vision/mnist:v3 --root /data/mnist

JSON: root, files, bytes, failed: [{path, error}].`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "root", Usage: "`DIR` that gets the tree", DefaultText: "./artifacts/ARTIFACT:vN"},
			&cli.StringFlag{Name: "path-prefix", Usage: "only files whose path is, or is below, `PATH`"},
			maxFoundFlag(),
		},
		Action: a.get,
	}
}

// getRecord is the JSON of get.
type getRecord struct {
	Root   string         `json:"root"`
	Files  int64          `json:"files"`
	Bytes  int64          `json:"bytes"`
	Failed []failedRecord `json:"failed"`
}

type failedRecord struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

func (a *app) get(c *cli.Context) error {
	o, err := a.openArg(c)
	if err != nil {
		return err
	}
	defer o.close()
	bar := a.progress(c, "downloading")
	defer bar.end()
	b := a.drivers(c, impatient(bar), o.copies())
	defer b.Close()
	found, err := a.expand(c, o, b)
	if err != nil {
		return err
	}
	defer found.close()
	root := c.String("root")
	if root == "" {
		root = filepath.Join("artifacts", o.version.Name())
	}
	result, err := download.Get(c.Context, download.GetOptions{Snapshot: found.snap, Backend: found.backend, Root: root,
		PathPrefix: c.String("path-prefix"), Progress: bar.downloaded})
	bar.end()
	if err != nil {
		return err
	}
	return a.printGot(c, result)
}

func (a *app) printGot(c *cli.Context, r download.GetResult) error {
	record := getRecord{Root: r.Root, Files: r.Files, Bytes: r.Bytes, Failed: []failedRecord{}}
	slices.SortFunc(r.Failed, func(a, b download.Failure) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range r.Failed {
		why := strings.TrimPrefix(scrub(f.Err.Error()), "get: "+f.Path+": ")
		record.Failed = append(record.Failed, failedRecord{f.Path, why})
		fmt.Fprintf(a.stderr, "pinfs: get: %s: %s\n", oneLine(f.Path), oneLine(why))
	}
	if more := r.FailedCount - int64(len(r.Failed)); more > 0 {
		fmt.Fprintf(a.stderr, "pinfs: get: and %s more\n", count(more, "file"))
	}
	var err error
	if c.Bool(flagJSON) {
		err = a.printJSON(record)
	} else {
		_, err = fmt.Fprintf(a.stdout, "%s: %s, %s\n", oneLine(r.Root), count(r.Files, "file"), size(r.Bytes))
	}
	if n := r.FailedCount; err == nil && n > 0 {
		return &partlyDone{"get: " + count(n, "file") + " could not be had"}
	}
	return err
}
