package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/download"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "checks that every object of a version is still there as recorded",
		ArgsUsage: "REF",
		Description: `Asks each source for each object at its pin; contents that sources do not vouch for
are read. Lists what failed.

With --local asks no source: reads what the cache has of the version and checks
that. Files that are not cached, or only partly, are counted as unchecked. What
fails is dropped from the cache, so that the next read fetches it again.

Examples: pinfs verify vision/mnist:v3
          pinfs verify vision/mnist:v3 --local

JSON: checked, ok, unchecked (files that nothing pins; with --local those not
cached in full), failed: [{path, ref, expected, found, check, error}]. check is
what was compared: "version id", "etag", "md5", "crc32c".`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "local", Usage: "check what the cache holds, ask no source"}},
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
	if c.Bool("local") {
		return a.verifyLocal(c, o)
	}
	bar := a.progress(c, "verifying")
	defer bar.end()
	b := a.drivers(c, impatient(bar))
	defer b.Close()
	result, err := download.Verify(c.Context, download.VerifyOptions{Snapshot: o.snap, Backend: b, Progress: bar.downloaded})
	bar.end()
	if err != nil {
		return err
	}
	return a.printVerified(c, verified(result), result.FailedCount, "not pinned")
}

func verified(r download.VerifyResult) verifyRecord {
	record := verifyRecord{Checked: r.Checked, OK: r.OK, Unchecked: r.Unchecked, Failed: []brokenRecord{}}
	for _, f := range r.Failed {
		record.Failed = append(record.Failed, recordBroken(f))
	}
	return record
}

func recordBroken(f download.VerifyFailure) brokenRecord {
	r := brokenRecord{Path: f.Path, Ref: f.Ref, Expected: f.Expected, Found: f.Found, Check: f.Check}
	if f.Err != nil {
		r.Error = scrub(f.Err.Error())
	}
	return r
}

// verifyLocal checks the cache instead of the sources.
func (a *app) verifyLocal(c *cli.Context, o *opened) error {
	cacheOptions, err := cacheOptions(c)
	if err != nil {
		return err
	}
	url, err := registryURL(c)
	if err != nil {
		return err
	}
	cacheOptions.Size = math.MaxInt64 // a check must not evict
	cacheOptions.Source, cacheOptions.Logger = unasked{}, a.log
	open := func() (*cache.Cache, error) { return cache.Open(cacheOptions) }
	total := o.snap.Summary().Files
	bar := a.progress(c, "checking")
	result, err := daemon.NewClient(cacheOptions.Dir).CheckOrOpen(c.Context,
		daemon.CheckRequest{Registry: url, Project: o.version.Project, Ref: o.version.Name()}, o.snap, open,
		func(files int64) {
			bar.set(files, total, fmt.Sprintf("%d of %s", files, count(total, "file")))
		})
	bar.end()
	if err != nil {
		return err
	}
	return a.printVerified(c, checked(result), result.FailedCount, "not cached in full")
}

func checked(r daemon.CheckResult) verifyRecord {
	record := verifyRecord{Checked: r.Checked, OK: r.OK, Unchecked: r.Unchecked, Failed: []brokenRecord{}}
	for _, f := range r.Failed {
		err := fmt.Sprintf("cached content is damaged (%s: expected '%s' but found '%s'); dropped, the next read fetches it again", f.Check, f.Expected, f.Found)
		record.Failed = append(record.Failed, brokenRecord{f.Path, f.Ref, f.Expected, f.Found, f.Check, err})
	}
	return record
}

// unasked is the source of a cache that is only checked.
type unasked struct{}

var _ cache.Source = unasked{}

func (unasked) Open(_ context.Context, obj manifest.Object, _, _ int64) (io.ReadCloser, cache.Described, error) {
	return nil, cache.Described{}, noNetwork("read", obj.Ref)
}

func (unasked) Stat(_ context.Context, obj manifest.Object) (cache.Described, error) {
	return cache.Described{}, noNetwork("stat", obj.Ref)
}

// printVerified prints a record whose unchecked files are what rest says.
func (a *app) printVerified(c *cli.Context, record verifyRecord, failed int64, rest string) error {
	slices.SortFunc(record.Failed, func(a, b brokenRecord) int { return strings.Compare(a.Path, b.Path) })
	if c.Bool(flagJSON) {
		if err := a.printJSON(record); err != nil {
			return err
		}
	} else {
		for _, f := range record.Failed {
			fmt.Fprintf(a.stdout, "%s: %s\n", oneLine(f.Path), oneLine(f.Error))
		}
		fmt.Fprintf(a.stdout, "%s checked, %d ok, %d failed, %d %s\n", count(record.Checked, "file"), record.OK, failed, record.Unchecked, rest)
	}
	if failed > 0 {
		return &partlyDone{"verify: " + count(failed, "file") + " failed"}
	}
	return nil
}
