package download_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/registry/download"
)

func benchmarkGet(b *testing.B, files map[string]string) {
	w := newWorld(b)
	w.store(files)
	s := w.put(b, "mem://b/d")
	var total int64
	for _, text := range files {
		total += int64(len(text))
	}
	b.SetBytes(total)
	dir, i := b.TempDir(), 0
	for b.Loop() {
		r, err := download.Get(b.Context(), download.GetOptions{Snapshot: s, Backend: w.mux, Root: filepath.Join(dir, fmt.Sprint(i))})
		if err != nil || r.FailedCount > 0 {
			b.Fatal(err, r.Failed)
		}
		i++
	}
	b.ReportMetric(float64(len(files)*i)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkGetLarge is one file of 256 MiB by parts; its MD5 is what takes time.
func BenchmarkGetLarge(b *testing.B) {
	benchmarkGet(b, map[string]string{"large": strings.Repeat("0123456789abcdef", 16<<20)})
}

// BenchmarkGetSmall is 5,000 files of 1 KiB.
func BenchmarkGetSmall(b *testing.B) {
	files := map[string]string{}
	for i := range 5000 {
		files[fmt.Sprintf("%02d/%d", i%50, i)] = strings.Repeat("x", 1024)
	}
	benchmarkGet(b, files)
}
