package registry_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
)

// commitReal commits a snapshot of one entry.
func (f fixture) commitReal(t testing.TB, digest string) registry.Version {
	t.Helper()
	tmp, remove, err := f.MakeTemp(t.Context())
	must(t, err)
	defer remove()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: tmp, Meta: snapshot.Meta{Header: manifest.DefaultHeader()}})
	must(t, err)
	must(t, b.Add(manifest.Entry{Path: "dir/file", Digest: digest, Ref: "s3://b/k", Size: 1}))
	path := filepath.Join(tmp, "snapshot")
	sum, err := b.Build(t.Context(), path)
	must(t, err)
	v, _, err := f.Commit(t.Context(), registry.Commit{Project: "p", Artifact: "a", Type: "dataset", SnapshotPath: path, Summary: sum})
	must(t, err)
	return v
}

func TestOpenSnapshot(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	v := f.commitReal(t, "d")
	s, err := f.OpenSnapshot(ctx, v)
	must(t, err)
	if _, ok, err := s.Find("dir/file"); err != nil || !ok {
		t.Errorf("dir/file: found %v, error %v", ok, err)
	}
	if got := s.Summary().Digest; got != v.Digest {
		t.Errorf("got digest %s, want %s", got, v.Digest)
	}
	must(t, s.Close())

	path := filepath.Join(f.dir, "snapshots", v.Snapshot)
	must(t, os.Chmod(path, 0o600))
	must(t, os.Truncate(path, 100))
	_, err = f.OpenSnapshot(ctx, v)
	wantKind(t, err, manifest.KindCorrupt)
	wantText(t, err, "a:v0")
	must(t, os.Remove(path))
	_, err = f.OpenSnapshot(ctx, v)
	wantKind(t, err, manifest.KindCorrupt)
	wantText(t, err, "a:v0", "lost")
}

// BenchmarkCommit makes versions one after the other; each waits for the disk.
func BenchmarkCommit(b *testing.B) {
	f, i := newFixture(b), 0
	for b.Loop() {
		i++
		f.commit(b, string(rune('a'+i%26))+string(rune(i)))
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkResolve finds the latest of 100 versions.
func BenchmarkResolve(b *testing.B) {
	f := newFixture(b)
	for i := range 100 {
		f.commit(b, string(rune('a'+i)))
	}
	n := name(b, "p/a")
	for b.Loop() {
		_, err := f.Resolve(b.Context(), n)
		must(b, err)
	}
}
