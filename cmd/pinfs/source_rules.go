package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/registry/publish"
)

// flagAllow may be repeated; in the environment, lines are prefixes.
const flagAllow = "allow"

func ruleFlags() []cli.Flag {
	return []cli.Flag{
		altsrc.NewStringSliceFlag(&cli.StringSliceFlag{
			Name: flagAllow, Category: catPlaces, EnvVars: []string{envName(flagAllow)},
			Usage: "`PREFIX` of what versions may point to: file:///data/, https://host/path/, s3://bucket; may be repeated. Of the sources that are named nothing else is read",
		}),
	}
}

// allowed gives all prefixes, none empty.
func allowed(c *cli.Context) []string {
	var all []string
	for _, value := range c.StringSlice(flagAllow) {
		for line := range strings.Lines(value) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return slices.DeleteFunc(all, func(line string) bool { return line == "" })
}

// parseRules makes the rules that the flags describe.
func parseRules(c *cli.Context) (*backends.Rules, error) {
	dir, err := cacheDir(c)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // there is none to be kept from readers
	}
	return backends.NewRules(backends.RulesOptions{Allow: allowed(c), Home: home, Private: append(credentialFiles(), dir)})
}

// warnRefused tells of what was recorded and will not be read.
func (a *app) warnRefused(sources []publish.Source) {
	for _, source := range sources {
		uri, err := backends.Normalize(source.URI)
		if err == nil {
			err = a.rules.Ref("read", uri)
		}
		if err != nil {
			a.log.Warn("recorded, but mount, get and verify will refuse to read it", "error", scrub(err.Error()))
		}
	}
}

// credentialFiles are the files and directories that the environment names for
// credentials, and the configuration's own.
func credentialFiles() []string {
	paths := configFiles()
	for _, name := range []string{
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
		"AZURE_CONFIG_DIR", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_CERTIFICATE_PATH",
		"NETRC", "KUBECONFIG",
	} {
		paths = append(paths, filepath.SplitList(os.Getenv(name))...)
	}
	for i, path := range paths {
		if abs, err := filepath.Abs(path); path != "" && err == nil {
			paths[i] = abs
		}
	}
	return paths
}

func ruleSettings(c *cli.Context, s shown) { s.put(flagAllow, strings.Join(allowed(c), " ")) }

// allowFlags are the arguments that give another process the same prefixes.
func allowFlags(c *cli.Context) []string {
	var argv []string
	for _, prefix := range allowed(c) {
		argv = append(argv, "--"+flagAllow+"="+prefix)
	}
	return argv
}
