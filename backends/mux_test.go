package backends_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestMuxDispatches(t *testing.T) {
	s := memstore.New()
	s.Put("b/a", []byte("x"))
	m := backends.NewMux(map[manifest.Source]backends.Backend{"mem": s, "gs": s})
	for _, uri := range []string{"mem://b/a", "MEM://b/a"} {
		var got []string
		err := m.List(t.Context(), uri, func(i backends.Info) error {
			got = append(got, i.Ref)
			return nil
		})
		if err != nil || !slices.Equal(got, []string{"mem://b/a"}) {
			t.Errorf("List(%q): got %q, error %v", uri, got, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestMuxUnknownScheme(t *testing.T) {
	s := memstore.New()
	m := backends.NewMux(map[manifest.Source]backends.Backend{"s3": s, "azblob": s, "file": s})
	want := `ftp://h/x: unknown scheme "ftp://"; known: azblob://, file://, s3://`
	obj := manifest.Object{Ref: "ftp://h/x"}
	_, statErr := m.Stat(t.Context(), obj)
	_, _, openErr := m.Open(t.Context(), obj, 0, -1)
	_, digestErr := m.Digest(t.Context(), backends.Info{Ref: obj.Ref})
	for op, err := range map[string]error{
		"list": m.List(t.Context(), obj.Ref, nil), "stat": statErr, "open": openErr, "digest": digestErr,
	} {
		if err == nil || err.Error() != op+": "+want || manifest.KindOf(err) != manifest.KindUnsupported {
			t.Errorf("got %v, kind %q, want %q", err, manifest.KindOf(err), op+": "+want)
		}
	}
	if n := s.Counts().Requests(); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

func TestMuxRefusesWhatHasNoSource(t *testing.T) {
	m := backends.NewMux(map[manifest.Source]backends.Backend{"file": memstore.New()})
	for _, ref := range []string{"", "relative/path", "/etc/passwd", "a/b://c"} {
		if _, err := m.Stat(t.Context(), manifest.Object{Ref: ref}); manifest.KindOf(err) != manifest.KindUnsupported {
			t.Errorf("Stat(%q): got %v, want KindUnsupported", ref, err)
		}
	}
	if _, err := m.Digest(t.Context(), backends.Info{Ref: "file:///x"}); manifest.KindOf(err) != manifest.KindUnsupported {
		t.Errorf("Digest of a driver without: got %v, want KindUnsupported", err)
	}
}

// closing fails and counts.
type closing struct {
	*memstore.Store
	err   error
	count int
}

func (c *closing) Close() error {
	c.count++
	return c.err
}

func TestMuxClosesEachOnce(t *testing.T) {
	one, two := &closing{err: errors.New("one")}, &closing{err: errors.New("two")}
	err := backends.NewMux(map[manifest.Source]backends.Backend{"a": one, "b": one, "c": two}).Close()
	if one.count != 1 || two.count != 1 || !errors.Is(err, one.err) || !errors.Is(err, two.err) {
		t.Errorf("got %d and %d closes, error %v, want 1, 1 and both", one.count, two.count, err)
	}
}

func TestNormalize(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	real, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"s3://b/a//b/../c/":   "s3://b/a//b/../c/",
		"FILE:///x/../y":      "FILE:///x/../y",
		"x-y.z+1://h":         "x-y.z+1://h",
		"/a/b":                "file:///a/b",
		"/a/../b//c/":         "file:///b/c",
		"/":                   "file:///",
		".":                   "file://" + real,
		"data/100% +a?b#c":    "file://" + filepath.Join(real, "data/100% +a?b#c"),
		"../x":                "file://" + filepath.Join(filepath.Dir(real), "x"),
		"/a b/caf\u00e9\n%2F": "file:///a b/caf\u00e9\n%2F",
		"/odd/a://b":          "file:///odd/a:/b",
		"1a://b":              "file://" + filepath.Join(real, "1a:/b"),
		"~/x":                 "file://" + filepath.Join(real, "~/x"),
	}
	for in, want := range tests {
		if got, err := backends.Normalize(in); err != nil || got != want {
			t.Errorf("Normalize(%q): got %q, error %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a\x00b", "s3://b/\x00"} {
		if _, err := backends.Normalize(in); manifest.KindOf(err) != manifest.KindInvalid {
			t.Errorf("Normalize(%q): got %v, want KindInvalid", in, err)
		}
	}
}

// The wrappers and the mux keep the contract.
func TestSuiteWrapped(t *testing.T) {
	backendtest.Run(t, backendtest.Fixture{
		New: func(*testing.T) backendtest.Source {
			s := memstore.NewVersioned()
			const root = "mem://bucket/root"
			return backendtest.Source{
				Backend: backends.NewMux(map[manifest.Source]backends.Backend{"mem": backends.Wrap(s, backends.Options{Limit: 4})}),
				Root:    root, Missing: "mem://nobucket/x",
				Put:           func(key string, data []byte) error { s.Put(root+"/"+key, data); return nil },
				Delete:        func(key string) error { s.Delete(root + "/" + key); return nil },
				DeleteVersion: func(obj manifest.Object) error { s.DeleteVersion(obj.Ref, obj.Pin.Value); return nil },
			}
		},
		NoFaults: "no network",
		Features: backendtest.Features{Versioned: true, ModTime: true, Extra: []string{"etag", "versionID"}, Digest: backendtest.HexMD5, VersionMark: "?versionId="},
	})
}
