package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

func (a *app) putCommand() *cli.Command {
	return &cli.Command{
		Name:      "put",
		Usage:     "tracks objects where they are; makes a version if something changed",
		ArgsUsage: "[NAME=]URI...",
		Description: `Lists what is below each URI and records which version of each object is there
now. Nothing is copied. NAME=URI puts a listing below the directory NAME, and
gives a single object the path NAME.

--checksum=crc64nvme|crc32c|crc32|md5|sha256 records what the store already has,
without reading data (files are read); an object without it is an error.
--checksum=source takes whatever each store has. --chunk-digests reads all data once and records a
BLAKE3 of each piece, so that a few bytes of a large file are checked when they are
read. --copy keeps the contents themselves in the registry. --no-checksum records
the URIs as they stand and asks nothing of the network: they are listed when they
are first looked at in a mount, and until then nothing is pinned. A URI of a scheme
that pinfs can't read needs a NAME, and is only tracked.

Examples: pinfs put --name vision/mnist --type dataset --alias best s3://bucket/mnist
          pinfs put --name vision/web --type dataset --copy pages=https://host/pages.tar

JSON: name, version, digest, files, size, new, aliases.`,
		Flags: slices.Concat(versionFlags(), []cli.Flag{
			&cli.Int64Flag{Name: "max-objects", Value: 10000, Usage: "refuse more than `N` objects; 0 for no limit"},
			&cli.BoolFlag{Name: "dry-run", Usage: "list and compare, record nothing"},
		}, recordFlags()),
		Action: a.put,
	}
}

// Names of the flags of put that say what is recorded.
const (
	flagChecksum     = "checksum"
	flagChunkDigests = "chunk-digests"
	flagCopy         = "copy"
	flagNoChecksum   = "no-checksum"
)

// recordFlags say what put records beside W&B's digests, or instead of them.
func recordFlags() []cli.Flag {
	flag := func(name, usage string) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, EnvVars: []string{envName(name)}}
	}
	return []cli.Flag{
		&cli.StringFlag{Name: flagChecksum, Usage: "record the checksum `K` that the store has: crc64nvme, crc32c, crc32, md5, sha256, source", EnvVars: []string{envName(flagChecksum)}},
		flag(flagChunkDigests, "read all data once, record a digest of each piece"),
		flag(flagCopy, "keep the contents in the registry"),
		flag(flagNoChecksum, "record the URIs alone, ask nothing of the network"),
	}
}

// versionFlags describe the version that put and import make.
func versionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "`PROJECT/ARTIFACT` that gets the version (required)"},
		&cli.StringFlag{Name: "type", Usage: "`TYPE` of the artifact, such as dataset or model (required)"},
		&cli.StringSliceFlag{Name: "alias", Usage: "`ALIAS` that moves to the version; may be repeated"},
		&cli.StringFlag{Name: "description", Usage: "`TEXT` about the version"},
		&cli.StringFlag{Name: "metadata", Usage: "`JSON` object about the version"},
	}
}

// target is what versionFlags say.
type target struct {
	name             manifest.Name
	typ, description string
	aliases          []string
	metadata         json.RawMessage
}

func parseTarget(c *cli.Context) (target, error) {
	op := c.Command.Name
	for _, flag := range []string{"name", "type"} {
		if c.String(flag) == "" {
			return target{}, usage(op, "--"+flag, "the flag is missing", "see pinfs "+op+" --help")
		}
	}
	t := target{typ: c.String("type"), description: c.String("description"), aliases: c.StringSlice("alias")}
	var err error
	if t.name, err = parseArtifact(c, op, c.String("name")); err != nil {
		return t, err
	}
	if err = manifest.CheckType(t.typ); err != nil {
		return t, err
	}
	for _, alias := range t.aliases {
		if err = manifest.CheckAlias(alias); err != nil {
			return t, err
		}
	}
	t.metadata, err = parseMetadata(op, c.String("metadata"))
	return t, err
}

func parseMetadata(op, text string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, usage(op, "--metadata", "not a JSON object", `write it like '{"epochs": 3}'`)
	}
	return json.RawMessage(text), nil
}

func (a *app) put(c *cli.Context) error {
	args, err := positional(c, 1, -1)
	if err != nil {
		return err
	}
	t, err := parseTarget(c)
	if err != nil {
		return err
	}
	if c.Int64("max-objects") < 0 {
		return usage("put", "--max-objects", "negative", "0 is for no limit")
	}
	sources := make([]publish.Source, len(args))
	for i, arg := range args {
		sources[i] = publish.ParseSource(arg)
	}
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	bar := a.progress(c, "tracking")
	defer bar.end()
	b := a.ownDrivers(c, impatient(bar))
	defer b.Close()
	result, err := publish.Put(c.Context, publish.Options{
		Registry: r, Backend: b, Name: t.name, Type: t.typ, Aliases: t.aliases, Description: t.description,
		Metadata: t.metadata, By: by(), Run: env("PINFS_RUN", "WANDB_RUN_ID"), Sources: sources,
		MaxObjects: c.Int64("max-objects"), DryRun: c.Bool("dry-run"), Progress: bar.tracked,
		Checksum: c.String(flagChecksum), ChunkDigests: c.Bool(flagChunkDigests), Copy: c.Bool(flagCopy), NoChecksum: c.Bool(flagNoChecksum),
	})
	bar.end()
	if err != nil {
		return meantPath(err, args)
	}
	if !c.Bool(flagCopy) {
		a.warnRefused(sources)
	}
	return a.printResult(c, result)
}

// meantPath adds a hint when an argument that was read as NAME=URI is a path.
func meantPath(err error, args []string) error {
	var typed *manifest.Error
	if !errors.As(err, &typed) || typed.Kind != manifest.KindNoSource {
		return err
	}
	for _, arg := range args {
		if _, missing := os.Lstat(arg); missing == nil && publish.ParseSource(arg).Name != "" {
			with := *typed
			with.Hint = "write ./" + arg + " if that path is meant; NAME=URI gives a name"
			return &with
		}
	}
	return err
}

// resultRecord is the JSON of put and import.
type resultRecord struct {
	Name    string   `json:"name"` // project/artifact
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	Files   int64    `json:"files"`
	Size    int64    `json:"size"` // bytes
	New     bool     `json:"new"`
	Aliases []string `json:"aliases"`
}

func (a *app) printResult(c *cli.Context, r publish.Result) error {
	v := r.Version
	if c.Bool(flagJSON) {
		return a.printJSON(resultRecord{Name: fullName(v), Version: versionName(v), Digest: v.Digest, Files: v.Files,
			Size: v.Size, New: r.New, Aliases: noNull(v.Aliases)})
	}
	what := "nothing changed, it is still this version"
	switch {
	case r.New && c.Bool("dry-run"):
		what = "dry run: this would be a new version"
	case r.New:
		what = "new version"
	}
	_, err := fmt.Fprintf(a.stdout, "%s:%s  %s, %s  %s\n", fullName(v), versionName(v), count(v.Files, "file"), size(v.Size), what)
	return err
}
