package snapshot_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/pinfs/pinfs/manifest/snapshot"
)

func benchPath(i int) string {
	return fmt.Sprintf("train/class-%04d/image-%08d.jpg", i/1000, i)
}

// large makes a snapshot of n entries, added in a scrambled order.
func large(b *testing.B, n int) *snapshot.Snapshot {
	b.Helper()
	path := filepath.Join(b.TempDir(), "s")
	buildLarge(b, path, n)
	return open(b, path)
}

func buildLarge(b *testing.B, path string, n int) {
	b.Helper()
	bu, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: filepath.Dir(path)})
	if err != nil {
		b.Fatal(err)
	}
	defer bu.Close()
	for i := range n {
		k := int(uint64(i) * 7_368_787 % uint64(n))
		if err := bu.Add(s3Entry(benchPath(k), k)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := bu.Build(context.Background(), path); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBuild counts the making of the entries, too.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := 0; b.Loop(); i++ {
				buildLarge(b, filepath.Join(dir, fmt.Sprint(i)), n)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	const n = 1_000_000
	s := large(b, n)
	dir, _, err := s.Find("train/class-0500")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Open", func(b *testing.B) { benchOpen(b, n) })
	b.Run("Node", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Node(rand.Uint32N(n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Lookup", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok, err := s.Lookup(dir.Index, "image-00500123.jpg"); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("Find", func(b *testing.B) {
		b.ReportAllocs()
		path := benchPath(123_456)
		for b.Loop() {
			if _, ok, err := s.Find(path); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("Entry", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Entry(dir.First + rand.Uint32N(dir.Count)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Stat", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Stat(rand.Uint32N(n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Object", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Object(dir.First + rand.Uint32N(dir.Count)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Children", func(b *testing.B) {
		b.ReportAllocs()
		perEntry(b, func() (k int) {
			if err := s.Children(dir.Index, 0, func(*snapshot.Node) bool { k++; return true }); err != nil {
				b.Fatal(err)
			}
			return k
		})
	})
	b.Run("Walk", func(b *testing.B) {
		perEntry(b, func() (k int) {
			for _, err := range s.Walk(0) {
				if k++; err != nil {
					b.Fatal(err)
				}
			}
			return k
		})
	})
	b.Run("Entries", func(b *testing.B) {
		perEntry(b, func() (k int) {
			for _, err := range s.Entries() {
				if k++; err != nil {
					b.Fatal(err)
				}
			}
			return k
		})
	})
	b.Run("Diff", func(b *testing.B) {
		perEntry(b, func() int {
			for c, err := range snapshot.Diff(s, s) {
				b.Fatal(c, err)
			}
			return n
		})
	})
}

func benchOpen(b *testing.B, n int) {
	path := filepath.Join(b.TempDir(), "s")
	buildLarge(b, path, n)
	for b.Loop() {
		s, err := snapshot.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := s.Find("train"); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func perEntry(b *testing.B, walk func() int) {
	total := 0
	for b.Loop() {
		total += walk()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/entry")
}
