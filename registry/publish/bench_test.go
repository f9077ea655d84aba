package publish_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pinfs/pinfs/registry/publish"
)

// BenchmarkPut is a put of 10,000 objects that a source lists with digests.
func BenchmarkPut(b *testing.B) {
	const objects = 10_000
	w := newWorld(b)
	for i := range objects {
		w.mem.Put(fmt.Sprintf("b/d/%02d/%d.png", i%100, i), []byte("x"))
	}
	i := 0
	for b.Loop() {
		o := w.options("mem://b/d")
		o.Name.Artifact = fmt.Sprint("a", i)
		_, err := publish.Put(b.Context(), o)
		must(b, err)
		i++
	}
	b.ReportMetric(float64(objects*i)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkPutDirectory hashes a directory of 64 files of 4 MiB.
func BenchmarkPutDirectory(b *testing.B) {
	const files, size = 64, 4 << 20
	w, dir := newWorld(b), b.TempDir()
	for i := range files {
		must(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, size), 0o666))
	}
	b.SetBytes(files * size)
	i := 0
	for b.Loop() {
		o := w.options(dir)
		o.Name.Artifact = fmt.Sprint("a", i)
		_, err := publish.Put(b.Context(), o)
		must(b, err)
		i++
	}
}
