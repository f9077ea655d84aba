package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/registry/download"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "checks that every object of a version is still there as recorded",
		ArgsUsage: "REF",
		Description: `Asks each source for each object at its pin; contents that sources do not vouch for
are read. Lists what failed.

Example: pinfs verify vision/mnist:v3

JSON: checked, ok, unchecked (files that nothing pins), failed: [{path, ref,
expected, found, check, error}].`,
		Action: a.verify,
	}
}

// verifyRecord is the JSON of verify.
type verifyRecord struct {
	Checked int64 `json:"checked"`
	OK      int64 `json:"ok"`
	// Unchecked files are only tracked: nothing pins them.
	Unchecked int64          `json:"unchecked"`
	Failed    []brokenRecord `json:"failed"`
}

type brokenRecord struct {
	Path     string `json:"path"`
	Ref      string `json:"ref"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Check    string `json:"check"`
	Error    string `json:"error"`
}

func (a *app) verify(c *cli.Context) error {
	o, err := a.openArg(c)
	if err != nil {
		return err
	}
	defer o.close()
	b := a.drivers(c)
	defer b.Close()
	bar := a.progress(c, "verifying")
	result, err := download.Verify(c.Context, download.VerifyOptions{Snapshot: o.snap, Backend: b, Progress: bar.downloaded})
	bar.end()
	if err != nil {
		return err
	}
	return a.printVerified(c, result)
}

func (a *app) printVerified(c *cli.Context, r download.VerifyResult) error {
	record := verifyRecord{Checked: r.Checked, OK: r.OK, Unchecked: r.Unchecked, Failed: []brokenRecord{}}
	slices.SortFunc(r.Failed, func(a, b download.VerifyFailure) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range r.Failed {
		record.Failed = append(record.Failed, recordBroken(f))
	}
	if c.Bool(flagJSON) {
		if err := a.printJSON(record); err != nil {
			return err
		}
	} else {
		for _, f := range record.Failed {
			fmt.Fprintf(a.stdout, "%s: %s\n", oneLine(f.Path), oneLine(f.Error))
		}
		fmt.Fprintf(a.stdout, "%s checked, %d ok, %d failed, %d not pinned\n", count(r.Checked, "file"), r.OK, r.FailedCount, r.Unchecked)
	}
	if n := r.FailedCount; n > 0 {
		return &partlyDone{"verify: " + count(n, "file") + " failed"}
	}
	return nil
}

func recordBroken(f download.VerifyFailure) brokenRecord {
	r := brokenRecord{Path: f.Path, Ref: f.Ref, Expected: f.Expected, Found: f.Found, Check: f.Check}
	if f.Err != nil {
		r.Error = scrub(f.Err.Error())
	}
	return r
}
