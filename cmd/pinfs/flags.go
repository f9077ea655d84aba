package main

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
)

// Names of the global flags; those of sources are in source_*.go.
const (
	flagRegistry  = "registry"
	flagProject   = "project"
	flagCacheDir  = "cache-dir"
	flagCacheSize = "cache-size"
	flagMinFree   = "min-free"
	flagVerify    = "verify"
	flagOffline   = "offline"
	flagJSON      = "json"
	flagQuiet     = "quiet"
	flagLogLevel  = "log-level"
	flagLogFormat = "log-format"
)

// Categories of the help text.
const (
	catPlaces = "Where things are"
	catCache  = "The cache of mounts"
	catOutput = "Output"
	catS3     = "S3"
	catGS     = "Google Cloud Storage"
	catAZ     = "Azure Blob"
	catHTTP   = "HTTP and files"
)

// globalFlags are those that every command takes; any of them may also come from
// the environment or the configuration file.
func globalFlags() []cli.Flag {
	return slices.Concat(placeFlags(), outputFlags(), sourceFlags())
}

// sourceFlags are the global flags that say how sources are asked.
func sourceFlags() []cli.Flag {
	return slices.Concat(s3Flags(), gsFlags(), azFlags(), httpFlags(), fileFlags(), ruleFlags())
}

func placeFlags() []cli.Flag {
	return []cli.Flag{
		text(catPlaces, flagRegistry, "`URL` of the registry: file:///DIR", "file://"+defaultRegistry()),
		text(catPlaces, flagProject, "`PROJECT` of names that have none", "default", "WANDB_PROJECT"),
		text(catCache, flagCacheDir, "`DIR` that keeps what mounts have read", defaultCacheDir()),
		text(catCache, flagCacheSize, "`SIZE` that the cache may take: 10G, 512MiB", "50GiB, or half of the file system if less"),
		text(catCache, flagMinFree, "`SIZE` that the cache leaves free on its file system", "1GiB, or a twentieth of it if less"),
		text(catCache, flagVerify, "what mounts serve: `MODE` fill, blocks as they arrive, the whole checked when it is there; strict, nothing before the whole was verified", "fill"),
		toggle(catPlaces, flagOffline, "ask no source: only what is cached can be read"),
	}
}

func outputFlags() []cli.Flag {
	return []cli.Flag{
		toggle(catOutput, flagJSON, "print one JSON value on standard output"),
		toggle(catOutput, flagQuiet, "no progress"),
		text(catOutput, flagLogLevel, "`LEVEL` of the log on standard error: debug, info, warn, error", "warn; info for daemons"),
		text(catOutput, flagLogFormat, "`FORMAT` of the log: text, json", "text"),
	}
}

// text makes a global flag with a value; shown says its default in the help.
func text(category, name, usage, shown string, env ...string) cli.Flag {
	return altsrc.NewStringFlag(&cli.StringFlag{
		Name: name, Category: category, Usage: usage, DefaultText: shown,
		EnvVars: append([]string{envName(name)}, env...),
	})
}

// toggle makes a global flag without a value.
func toggle(category, name, usage string) cli.Flag {
	return altsrc.NewBoolFlag(&cli.BoolFlag{
		Name: name, Category: category, Usage: usage, EnvVars: []string{envName(name)},
		DisableDefaultText: true,
	})
}

// envName is the environment variable of a flag.
func envName(flag string) string {
	return "PINFS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// unsetEmpty removes the environment variables of flags that are empty, which the
// parser would take for values.
func unsetEmpty(flags []cli.Flag) error {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		for _, name := range d.GetEnvVars() {
			if value, ok := os.LookupEnv(name); ok && value == "" {
				if err := os.Unsetenv(name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
