package filestore

import (
	"path/filepath"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// pathOf gives the absolute path of a file URI, byte for byte.
func pathOf(op, uri string) (string, error) {
	_, path, _ := strings.Cut(uri, "://")
	path = strings.TrimPrefix(path, "localhost")
	switch {
	case manifest.Scheme(uri) != "file" || !strings.HasPrefix(path, "/"):
		return "", backends.Invalid(op, uri, "not the URI of a file of this host", "write file:///absolute/path")
	case strings.ContainsRune(path, 0):
		return "", backends.Invalid(op, uri, "a path has no NUL", "")
	}
	return path, nil
}

// rootOf gives the path that a listing starts at, without trailing slashes, and
// whether it must be a directory because it had some.
func rootOf(uri string) (path string, dir bool, err error) {
	path, err = pathOf("list", uri)
	return filepath.Clean(path), strings.HasSuffix(path, "/"), err
}

// join puts name below a directory.
func join(dir, name string) string {
	return strings.TrimSuffix(dir, "/") + "/" + name
}
