package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tool gives the path of a program that tools.sh built.
func tool(name, version string) (string, error) {
	dir, err := toolDir(name, version)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run integration/tools.sh install test (%w)", name, err)
	}
	return path, nil
}

// toolDir gives the directory where tools.sh keeps one version of a program.
func toolDir(name, version string) (string, error) {
	dir := os.Getenv("PINFS_TOOLS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "pinfs-tools")
	}
	return filepath.Join(dir, name+"-"+version), nil
}

// dataDir makes a temporary directory on a file system that keeps user xattrs,
// as versitygw's metadata needs (tmpfs keeps none before Linux 6.6).
func dataDir(pattern string) (string, error) {
	var errs []error
	for _, parent := range []string{os.TempDir(), "/var/tmp", "."} {
		dir, err := os.MkdirTemp(parent, pattern)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = unix.Setxattr(dir, "user.pinfs.test", []byte("x"), 0)
		if err == nil {
			return filepath.Abs(dir)
		}
		errs = append(errs, fmt.Errorf("xattr in %s: %w", dir, err), os.RemoveAll(dir))
	}
	return "", fmt.Errorf("no directory keeps user xattrs, set TMPDIR to one on ext4 or xfs: %w", errors.Join(errs...))
}
