package filestore_test

import (
	"crypto/md5"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/filestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	const markers, versions = "a file system has directories, not folder markers", "a file system keeps no versions"
	backendtest.Run(t, backendtest.Fixture{
		New:      func(t *testing.T) backendtest.Source { return source(t, filestore.New()) },
		NoFaults: "no network",
		Features: backendtest.Features{ContentPinned: true, ModTime: true, Digest: digest},
		NotApplicable: map[string]string{
			"list skips folder markers":           markers,
			"list of nothing but folder markers":  markers,
			"list an object that is a prefix too": "a path is a file or a directory",
			"odd key: doubled slash":              "paths have no empty components",
			"odd key: dot component":              "it is no name",
			"odd key: two-dot component":          "it is no name",
			"version deleted":                     versions,
			"record a named version":              versions,
			"record a version that never was":     versions,
		},
	})
}

func source(t *testing.T, s *filestore.Store) backendtest.Source {
	dir := filepath.Join(t.TempDir(), "root")
	path := func(key string) string { return dir + "/" + key }
	return backendtest.Source{
		Backend: s, Root: "file://" + dir, Missing: "file://" + dir + "-not/x",
		Put: func(key string, data []byte) error { // in place: the same inode, as rsync --inplace does
			if err := os.MkdirAll(filepath.Dir(path(key)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path(key), data, 0o644)
		},
		Delete: func(key string) error { return os.Remove(path(key)) },
	}
}

func digest(data []byte) string {
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}
