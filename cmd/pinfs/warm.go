package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func (a *app) warmCommand() *cli.Command {
	return &cli.Command{
		Name:      "warm",
		Usage:     "brings a version to the cache",
		ArgsUsage: "REF",
		Description: `Brings all files of a version onto the disk, many at once, and checks them as a
mount does. Returns 0 only when all of them are there. Files that are there already
are not asked for again, so a second run goes on where one was interrupted. A
version that does not fit into the cache is refused before anything is fetched.

The daemon of the cache directory does the work; while none runs, one is started
that ends with the work. References that nothing pins are looked at as a mount does;
those that can't be pinned are skipped and counted.

With --keep the files are never evicted, until --unkeep, which brings nothing.

Example: pinfs warm vision/mnist:v3 --keep

JSON: ref, files and bytes (wholly on disk now), fetched and fetched_bytes, here
(files that were on disk before), skipped, unkept, failed: [{path, ref, expected,
found, error}], failed_count.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "never evict these files"},
			&cli.BoolFlag{Name: "unkeep", Usage: "let these files be evicted again, fetch nothing"},
			&cli.IntFlag{Name: "parallel", Aliases: []string{"j"}, Usage: "fetch `N` small files at once",
				DefaultText: fmt.Sprintf("as many as hide the latency, at most %d", daemon.DefaultWarm)},
			&cli.StringFlag{Name: "path-prefix", Usage: "only files whose path is, or is below, `PATH`"},
			maxFoundFlag(),
		},
		Action: a.warm,
	}
}

func (a *app) warm(c *cli.Context) error {
	req, err := a.warmRequest(c)
	if err != nil {
		return err
	}
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	client := daemon.NewClient(dir)
	a.compareSize(c, client)
	bar := a.progress(c, "warming")
	var last daemon.WarmProgress
	result, err := client.WarmOrStart(c.Context, req, a.starter(c, dir), func(p daemon.WarmProgress) {
		last = p
		bar.warmed(p)
	})
	bar.end()
	if err != nil && c.Context.Err() != nil {
		return interruptedWarm(last)
	}
	if err != nil {
		return err
	}
	return a.printWarmed(c, result)
}

// starter starts a daemon in the background.
func (a *app) starter(c *cli.Context, dir string) func(context.Context) error {
	argv := append([]string{"pinfs"}, daemonFlags(c, dir)...)
	return func(ctx context.Context) error { return daemon.Start(ctx, dir, append(argv, ownName)) }
}

// warmRequest reads arguments and flags. It asks the registry, so that a wrong name
// starts no daemon.
func (a *app) warmRequest(c *cli.Context) (req daemon.WarmRequest, err error) {
	args, err := positional(c, 1, 1)
	if err != nil {
		return req, err
	}
	if req.Keep, err = keepMode(c); err != nil {
		return req, err
	}
	if req.Parallel = c.Int("parallel"); c.IsSet("parallel") && (req.Parallel < 1 || req.Parallel > maxRequests) {
		return req, usage("warm", "--parallel", "out of range", fmt.Sprintf("1 to %d", maxRequests))
	}
	if req.MaxObjects, err = maxFound(c); err != nil {
		return req, err
	}
	if req.Registry, err = registryURL(c); err != nil {
		return req, err
	}
	n, err := parseName(c, args[0])
	if err != nil {
		return req, err
	}
	r, err := a.registry(c)
	if err != nil {
		return req, err
	}
	defer r.Close()
	v, err := r.Resolve(c.Context, n)
	req.Project, req.Ref = v.Project, v.Name()
	req.PathPrefix, req.Settings = c.String("path-prefix"), settings(c)
	return req, err
}

func keepMode(c *cli.Context) (string, error) {
	keep, unkeep := c.Bool("keep"), c.Bool("unkeep")
	switch {
	case keep && unkeep:
		return "", usage("warm", "--unkeep", "it is the opposite of --keep", "leave one out")
	case keep:
		return daemon.KeepOn, nil
	case unkeep:
		return daemon.KeepOff, nil
	}
	return daemon.KeepAsIs, nil
}

// warmed shows how far a warm job is: by bytes, or by files where they are tiny.
func (b *bar) warmed(p daemon.WarmProgress) {
	note := fmt.Sprintf("%d of %s, %s of %s", p.Files, count(p.TotalFiles, "file"), size(p.Bytes), size(p.TotalBytes))
	if p.TotalBytes > p.TotalFiles<<20 {
		b.set(p.Bytes, p.TotalBytes, note)
		return
	}
	b.set(p.Files, p.TotalFiles, note)
}

// interruptedWarm says what was done until then.
func interruptedWarm(p daemon.WarmProgress) error {
	text := "pinfs: interrupted"
	if p.TotalFiles > 0 {
		text += fmt.Sprintf("; %d of %s were done, %s of %s are cached; warm again to go on",
			p.Files, count(p.TotalFiles, "file"), size(p.Bytes), size(p.TotalBytes))
	}
	return &stopped{text}
}

// stopped is the end of a command that was interrupted, with what is to be said.
type stopped struct{ text string }

func (s *stopped) Error() string { return s.text }

func (s *stopped) Unwrap() error { return context.Canceled }

// shownFailures is how many failures of a warm are printed.
const shownFailures = 20

func (a *app) printWarmed(c *cli.Context, r daemon.WarmResult) error {
	if r.Failed == nil {
		r.Failed = []daemon.WarmFailure{}
	}
	slices.SortStableFunc(r.Failed, func(a, b daemon.WarmFailure) int { return strings.Compare(a.Path, b.Path) })
	for i := range r.Failed {
		f := &r.Failed[i]
		f.Error = scrub(f.Error)
		if i < shownFailures {
			fmt.Fprintf(a.stderr, "pinfs: warm: %s: %s\n", oneLine(f.Path), oneLine(f.Error))
		}
	}
	if more := r.FailedCount - int64(min(len(r.Failed), shownFailures)); more > 0 {
		fmt.Fprintf(a.stderr, "pinfs: warm: and %s more\n", count(more, "file"))
	}
	var err error
	if c.Bool(flagJSON) {
		err = a.printJSON(r)
	} else {
		_, err = fmt.Fprintln(a.stdout, warmSummary(r, c.Bool("unkeep")))
	}
	if err != nil || r.FailedCount == 0 {
		return err
	}
	return warmError(r)
}

// warmSummary is the one line that ends a warm.
func warmSummary(r daemon.WarmResult, unkeep bool) string {
	if unkeep {
		return fmt.Sprintf("%s: %s may be evicted again", oneLine(r.Ref), count(r.Unkept, "file"))
	}
	parts := []string{fmt.Sprintf("%s: %s cached (%s)", oneLine(r.Ref), count(r.Files, "file"), size(r.Bytes)),
		fmt.Sprintf("%d fetched (%s)", r.Fetched, size(r.FetchedBytes)), fmt.Sprintf("%d here already", r.Here)}
	if r.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped that nothing pins", r.Skipped))
	}
	return strings.Join(append(parts, fmt.Sprintf("%d failed", r.FailedCount)), ", ")
}

// warmError is the end of a warm that left files out: a source without an answer,
// or the first failure where nothing is cached; else it is partly done.
func warmError(r daemon.WarmResult) error {
	text := "warm: " + count(r.FailedCount, "file") + " could not be cached"
	switch {
	case r.Silent != nil:
		return &manifest.Error{Kind: manifest.KindOf(r.Silent), Op: "warm", Ref: r.Ref, Msg: count(r.FailedCount, "file") + " could not be cached",
			Err: r.Silent, Hint: "warm again to go on"}
	case r.Files == 0 && len(r.Failed) > 0:
		return &manifest.Error{Kind: r.Failed[0].Kind, Msg: text}
	}
	return &partlyDone{text}
}
