package integration_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Benchmarks of the whole: the command, a real mount, a real server. Each has
// the file system below it (the one of the temporary directory) beside it.

// BenchmarkWalk walks 100,000 entries with find, for the first time after the
// mount, again, and the same tree on disk, warm: names only (list), and with the
// attributes of each (stat).
func BenchmarkWalk(b *testing.B) {
	const entries = 100_000
	h := newHost(b)
	file := filepath.Join(b.TempDir(), "m.json")
	writeManifest(b, file, entries)
	h.must("import", "--name", "speed/walk", "--type", "dataset", file)
	disk := b.TempDir()
	for i := range entries {
		write(b, filepath.Join(disk, fmt.Sprintf("dir-%03d/image-%06d.jpg", i/1000, i)), "x")
	}
	for name, how := range map[string]func(testing.TB, string, int) time.Duration{"list": list, "stat": walk} {
		b.Run(name, func(b *testing.B) { benchWalk(b, h, disk, entries, how) })
	}
}

func benchWalk(b *testing.B, h *host, disk string, entries int, how func(testing.TB, string, int) time.Duration) {
	how(b, disk, entries)
	var first, again, warm []time.Duration
	for b.Loop() {
		mnt, umount := h.mountUntil("speed/walk:v0")
		first = append(first, how(b, mnt, entries))
		again = append(again, how(b, mnt, entries))
		umount()
		warm = append(warm, how(b, disk, entries))
	}
	for name, times := range map[string][]time.Duration{"first": first, "again": again, "disk-warm": warm} {
		b.ReportMetric(median(times)/float64(entries), name+"-ns/entry")
	}
	b.ReportMetric(0, "ns/op")
}

// list walks the names below dir.
func list(tb testing.TB, dir string, want int) time.Duration {
	tb.Helper()
	start := time.Now()
	out := program(tb, dir, "find", ".", "-type", "f", "-printf", ".")
	took := time.Since(start)
	if len(out) != want {
		tb.Fatalf("find saw %d files, want %d", len(out), want)
	}
	return took
}

// BenchmarkSequential reads 1 GiB from S3: cold, and again after the kernel
// forgot it, from the cache on disk.
func BenchmarkSequential(b *testing.B) {
	const size = 1 << 30
	h := newHost(b)
	shared.s3.CreateBucket(b, "bench", true)
	data := make([]byte, size)
	if _, err := io.ReadFull(rand.Reader, data); err != nil {
		b.Fatal(err)
	}
	shared.s3.PutMultipart(b, "bench", "d/large", data, 64<<20)
	h.put("speed/large", "s3://bench/d")
	var cold, cached, warm []time.Duration
	for b.Loop() {
		one := h.with("PINFS_CACHE_DIR=" + filepath.Join(b.TempDir(), fmt.Sprint("cache", len(cold))))
		mnt, umount := one.mountUntil("speed/large:v0")
		cold = append(cold, readThrough(b, filepath.Join(mnt, "large"), size))
		warm = append(warm, readThrough(b, filepath.Join(mnt, "large"), size))
		umount()
		mnt, umount = one.mountUntil("speed/large:v0")
		cached = append(cached, readThrough(b, filepath.Join(mnt, "large"), size))
		umount()
	}
	for name, times := range map[string][]time.Duration{"cold": cold, "cached": cached, "warm": warm} {
		b.ReportMetric(size/median(times), name+"-GB/s")
	}
	b.ReportMetric(0, "ns/op")
}

// readThrough reads a file as cp does.
func readThrough(tb testing.TB, path string, want int64) time.Duration {
	tb.Helper()
	start := time.Now()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil || n != want {
		tb.Fatalf("read %d bytes of %d: %v", n, want, err)
	}
	return time.Since(start)
}

// median is in nanoseconds.
func median(times []time.Duration) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[len(sorted)/2])
}
