package main

import (
	"bufio"
	"fmt"
	"iter"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest/snapshot"
)

func (a *app) diffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "tells what one version has and another has not",
		ArgsUsage: "REF REF",
		Description: `Lists the paths that the second version adds (+), has no more (-) or has with
another digest (~).

Example: pinfs diff mnist:v0 mnist:v1

JSON: added, removed, changed: lists of paths.`,
		Action: a.diff,
	}
}

func (a *app) diff(c *cli.Context) error {
	args, err := positional(c, 2, 2)
	if err != nil {
		return err
	}
	var two [2]*opened
	for i, arg := range args {
		n, err := parseName(c, arg)
		if err != nil {
			return err
		}
		if two[i], err = a.open(c, n); err != nil {
			return err
		}
		defer two[i].close()
	}
	if c.Bool(flagJSON) {
		return a.diffJSON(c, two[0].snap, two[1].snap)
	}
	return a.diffText(c, two[0].snap, two[1].snap)
}

func (a *app) diffText(c *cli.Context, old, new *snapshot.Snapshot) error {
	w := bufio.NewWriter(a.stdout)
	signs := map[snapshot.ChangeKind]string{snapshot.Added: "+", snapshot.Removed: "-", snapshot.Changed: "~"}
	for change, err := range snapshot.Diff(old, new) {
		if err == nil {
			err = c.Context.Err()
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s %s\n", signs[change.Kind], oneLine(change.Path))
	}
	return w.Flush()
}

// diffJSON compares three times, once for each list, rather than keep the lists.
func (a *app) diffJSON(c *cli.Context, old, new *snapshot.Snapshot) error {
	w := bufio.NewWriter(a.stdout)
	lists := []struct {
		name string
		kind snapshot.ChangeKind
	}{{"added", snapshot.Added}, {"removed", snapshot.Removed}, {"changed", snapshot.Changed}}
	separator := "{"
	for _, l := range lists {
		fmt.Fprintf(w, "%s\n%q: ", separator, l.name)
		if err := writeList(w, changedPaths(c, old, new, l.kind)); err != nil {
			return err
		}
		separator = ","
	}
	fmt.Fprintln(w, "\n}")
	return w.Flush()
}

func changedPaths(c *cli.Context, old, new *snapshot.Snapshot, kind snapshot.ChangeKind) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for change, err := range snapshot.Diff(old, new) {
			if err == nil {
				err = c.Context.Err()
			}
			if err == nil && change.Kind != kind {
				continue
			}
			if !yield(change.Path, err) || err != nil {
				return
			}
		}
	}
}
