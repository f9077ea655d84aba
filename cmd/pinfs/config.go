package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
	"gopkg.in/yaml.v3"
)

// readConfig gives values to the global flags that neither the command line nor
// the environment set: from the user's file first, then from the host's.
func readConfig(c *cli.Context, flags []cli.Flag) error {
	for _, path := range configFiles() {
		values, err := readYAML(path, flags)
		if err != nil {
			return err
		}
		source := altsrc.NewMapInputSource(path, values)
		if err := altsrc.ApplyInputSourceValues(c, source, flags); err != nil {
			return usage("config", path, err.Error(), "")
		}
	}
	return nil
}

// configFiles are the places of the configuration, the strongest first.
func configFiles() []string {
	var files []string
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "pinfs", "pinfs.yaml"))
	}
	return append(files, "/etc/pinfs/pinfs.yaml")
}

// readYAML reads flag names and their values. A name that is no flag is an
// error: a misspelt one would be silently without effect.
func readYAML(path string, flags []cli.Flag) (map[any]any, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && path != configFiles()[0] {
		return nil, nil
	}
	if err != nil {
		return nil, usage("config", path, err.Error(), "make it readable, or set XDG_CONFIG_HOME to another directory")
	}
	var values map[any]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, usage("config", path, err.Error(), "it holds lines like \"registry: file:///var/lib/pinfs/registry\"")
	}
	return values, checkKeys(path, values, flags)
}

func checkKeys(path string, values map[any]any, flags []cli.Flag) error {
	known := flagNames(flags)
	sort.Strings(known)
	for key := range values {
		name, _ := key.(string)
		if findFlag(flags, name) != nil && !isHelp(name) {
			continue
		}
		hint := didYouMean(name, "", known) + "it may hold the global flags, without dashes"
		return usage("config", path, "no such setting: "+name, hint)
	}
	return nil
}
