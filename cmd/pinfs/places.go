package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// The cache takes as much as is given here, or half of the file system if less.
// What is free now does not count: then a cache that is full would shrink at
// every start. --min-free keeps room for others.
const defaultCacheSize = 50 << 30 // bytes

// defaultRegistry is the directory of the registry: the host's for root, else
// the user's.
func defaultRegistry() string {
	if os.Geteuid() == 0 {
		return "/var/lib/pinfs/registry"
	}
	return filepath.Join(xdg("XDG_DATA_HOME", ".local/share"), "pinfs", "registry")
}

// defaultCacheDir is the host's cache directory for root, else the user's.
func defaultCacheDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/pinfs"
	}
	return filepath.Join(xdg("XDG_CACHE_HOME", ".cache"), "pinfs")
}

// xdg is a base directory by the XDG specification, which ignores relative paths.
func xdg(variable, below string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return filepath.Join(home, below)
}

// parseSize reads a size: "10G" is decimal, "512MiB" binary.
func parseSize(flag, value string) (int64, error) {
	n, err := humanize.ParseBytes(value)
	if err != nil || int64(n) < 0 || strings.TrimSpace(value) == "" {
		return 0, usage("flag", "--"+flag, "not a size: "+value, "write it like 10G or 512MiB")
	}
	return int64(n), nil
}

// roomFor gives the default size of a cache in dir, which may not exist yet.
func roomFor(dir string) int64 {
	var fs unix.Statfs_t
	for unix.Statfs(dir, &fs) != nil {
		if dir == filepath.Dir(dir) {
			return defaultCacheSize
		}
		dir = filepath.Dir(dir)
	}
	return min(defaultCacheSize, int64(fs.Blocks)*fs.Bsize/2)
}
