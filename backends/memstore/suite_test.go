package memstore_test

import (
	"testing"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestSuite(t *testing.T) {
	f := fixture(memstore.New)
	f.Features.Extra = []string{"etag"}
	f.NotApplicable = map[string]string{
		"version deleted":                 "no versions are kept",
		"record a named version":          "no versions are kept",
		"record a version that never was": "no versions are kept",
	}
	backendtest.Run(t, f)
}

func TestSuiteVersioned(t *testing.T) {
	f := fixture(memstore.NewVersioned)
	f.Features.Extra = []string{"etag", "versionID"}
	f.Features.Versioned, f.Features.VersionMark = true, "?versionId="
	backendtest.Run(t, f)
}

func fixture(make func() *memstore.Store) backendtest.Fixture {
	return backendtest.Fixture{
		New:      func(*testing.T) backendtest.Source { return source(make()) },
		NoFaults: "no network",
		Features: backendtest.Features{
			ModTime: true,
			Digest:  backendtest.HexMD5,
		},
	}
}

func source(s *memstore.Store) backendtest.Source {
	const root = "mem://bucket/root"
	return backendtest.Source{
		Backend: s, Root: root, Missing: "mem://nobucket/x",
		Put: func(key string, data []byte) error {
			s.Put(root+"/"+key, data)
			return nil
		},
		Delete: func(key string) error {
			s.Delete(root + "/" + key)
			return nil
		},
		DeleteVersion: func(obj manifest.Object) error {
			s.DeleteVersion(obj.Ref, obj.Pin.Value)
			return nil
		},
	}
}
