package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
)

// Names of the global flags.
const (
	flagRegistry    = "registry"
	flagProject     = "project"
	flagCacheDir    = "cache-dir"
	flagCacheSize   = "cache-size"
	flagMinFree     = "min-free"
	flagVerify      = "verify"
	flagOffline     = "offline"
	flagJSON        = "json"
	flagQuiet       = "quiet"
	flagLogLevel    = "log-level"
	flagLogFormat   = "log-format"
	flagS3Endpoint  = "s3-endpoint"
	flagS3Region    = "s3-region"
	flagS3PathStyle = "s3-path-style"
	flagS3Anonymous = "s3-anonymous"
	flagS3Pays      = "s3-requester-pays"
)

// Categories of the help text.
const (
	catPlaces = "Where things are"
	catCache  = "The cache of mounts"
	catOutput = "Output"
	catS3     = "S3"
)

// globalFlags are those that every command takes; any of them may also come from
// the environment or the configuration file.
func globalFlags() []cli.Flag {
	return append(append(placeFlags(), outputFlags()...), s3Flags()...)
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

func s3Flags() []cli.Flag {
	return []cli.Flag{
		text(catS3, flagS3Endpoint, "`URL` of an S3 server other than Amazon's", "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_S3_ENDPOINT_URL"),
		text(catS3, flagS3Region, "`REGION` to sign for", "AWS_REGION, or the profile's"),
		toggle(catS3, flagS3PathStyle, "the bucket is in the path, not in the host name (default: as the endpoint needs)"),
		toggle(catS3, flagS3Anonymous, "send no credentials"),
		toggle(catS3, flagS3Pays, "agree to pay for requests"),
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
