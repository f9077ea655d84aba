package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
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
		Description: `Asks each source for each object at its pin, and compares the checksums that were
recorded with those that the source tells; files and copies are read. Says which
check was made of how many files, and lists what failed. What nothing pins can't be
checked and is counted as unchecked.

With --read every content is read from its source and checked: by its recorded
chunk digests and checksums, else by what the source vouches for, else its length.
With --files each file is listed with its check.

With --local asks no source: reads what the cache has of the version and checks
that. Files that are not cached, or only partly, are counted as unchecked. What
fails is dropped from the cache, so that the next read fetches it again.

Examples: pinfs verify vision/mnist:v3
          pinfs verify vision/mnist:v3 --read --files
          pinfs verify vision/mnist:v3 --local

JSON: checked, ok, unchecked (files that nothing pins; with --local those not
cached in full), failed: [{path, ref, expected, found, check, error}]; but with
--local also checks: {check: files}, bytes (that were read), and with --files
files: [{path, check, ok}]. check is what was compared: "version id",
"generation", "etag", "last-modified", "md5", "sha256", "crc32", "crc32c",
"crc64nvme", "chunks", "size"; "none" is for files that nothing pins.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "local", Usage: "check what the cache holds, ask no source"},
			&cli.BoolFlag{Name: "read", Usage: "read every content and check it"},
			&cli.BoolFlag{Name: "files", Usage: "list each file with the check that was made"},
		},
		Action: a.verify,
	}
}

// verifyRecord is the JSON of verify.
type verifyRecord struct {
	Checked int64 `json:"checked"`
	OK      int64 `json:"ok"`
	// Unchecked files are only tracked: nothing pins them.
	Unchecked int64 `json:"unchecked"`
	// Checks counts files by what was compared; most files count more than once.
	Checks map[string]int64 `json:"checks,omitempty"`
	Bytes  *int64           `json:"bytes,omitempty"` // that were read
	Failed []brokenRecord   `json:"failed"`
	Files  []checkedFile    `json:"files,omitempty"`
}

// checkedFile is a file and what was compared of it.
type checkedFile struct {
	Path  string `json:"path"`
	Check string `json:"check"`
	OK    bool   `json:"ok"`
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
		for _, flag := range []string{"read", "files"} {
			if c.Bool(flag) {
				return usage("verify", "--"+flag, "it asks sources, and can't be with --local", "leave one out")
			}
		}
		return a.verifyLocal(c, o)
	}
	bar := a.progress(c, "verifying")
	defer bar.end()
	b := a.drivers(c, impatient(bar), o.copies())
	defer b.Close()
	v := download.VerifyOptions{Snapshot: o.snap, Backend: b, Progress: bar.downloaded, Read: c.Bool("read")}
	var files []checkedFile
	if c.Bool("files") {
		v.OnFile = func(path, check string, ok bool) { files = append(files, checkedFile{path, check, ok}) }
	}
	result, err := download.Verify(c.Context, v)
	bar.end()
	if err != nil {
		return err
	}
	record := verified(result)
	record.Files = files
	slices.SortFunc(files, func(a, b checkedFile) int { return strings.Compare(a.Path, b.Path) })
	return a.printVerified(c, record, result.FailedCount, "that nothing pins")
}

func verified(r download.VerifyResult) verifyRecord {
	record := verifyRecord{Checked: r.Checked, OK: r.OK, Unchecked: r.Unchecked, Checks: r.Checks, Bytes: &r.Bytes, Failed: []brokenRecord{}}
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
		a.printChecks(record, failed, rest)
	}
	if failed > 0 {
		return &partlyDone{"verify: " + count(failed, "file") + " failed"}
	}
	return nil
}

// printChecks prints a record for people.
func (a *app) printChecks(record verifyRecord, failed int64, rest string) {
	w := bufio.NewWriter(a.stdout)
	defer w.Flush()
	for _, f := range record.Files {
		mark := "ok"
		switch {
		case !f.OK:
			mark = "FAILED"
		case f.Check == download.CheckNone:
			mark = "unchecked"
		}
		fmt.Fprintf(w, "%-9s  %-24s  %s\n", mark, f.Check, oneLine(f.Path))
	}
	for _, f := range record.Failed {
		fmt.Fprintf(w, "%s: %s\n", oneLine(f.Path), oneLine(f.Error))
	}
	fmt.Fprintf(w, "%s checked, %d ok, %d failed, %d %s\n", count(record.Checked, "file"), record.OK, failed, record.Unchecked, rest)
	var parts []string
	for _, check := range slices.Sorted(maps.Keys(record.Checks)) {
		parts = append(parts, fmt.Sprintf("%s %d", check, record.Checks[check]))
	}
	if len(parts) > 0 {
		fmt.Fprintf(w, "compared: %s", strings.Join(parts, ", "))
		if *record.Bytes > 0 {
			fmt.Fprintf(w, "; %s read", size(*record.Bytes))
		}
		fmt.Fprintln(w)
	}
}
