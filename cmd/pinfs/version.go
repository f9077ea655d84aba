package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// buildVersion is set by the linker for releases: -ldflags "-X main.buildVersion=v1.2.3".
var buildVersion string

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "says which build this is",
		Description: "Example: pinfs --json version\n\nJSON: version, go, os, arch.",
		Action:      a.printVersion,
	}
}

func (a *app) printVersion(c *cli.Context) error {
	if _, err := positional(c, 0, 0); err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return a.printJSON(map[string]string{
			"version": buildName(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	_, err := fmt.Fprintf(a.stdout, "pinfs %s (%s, %s/%s)\n", buildName(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildName is the release, else the module's version, else the commit.
func buildName() string {
	if buildVersion != "" {
		return buildVersion
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	return revision + dirty
}
