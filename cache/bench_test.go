package cache_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

func BenchmarkHitSmall(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := newSource()
			c := open(b, options(b.TempDir(), s))
			objs := make([]manifest.Object, 1000)
			buf := make([]byte, size)
			for i := range objs {
				objs[i] = s.put(ref(i), content(uint64(i), size))
				if err := c.Warm(b.Context(), objs[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.ReadAt(b.Context(), objs[i%len(objs)], buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHitLarge(b *testing.B) {
	s := newSource()
	c := open(b, options(b.TempDir(), s))
	obj := s.put(ref(1), content(1, 256<<20))
	if err := c.Warm(b.Context(), obj); err != nil {
		b.Fatal(err)
	}
	for _, step := range []int{4 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", step>>10), func(b *testing.B) {
			buf := make([]byte, step)
			b.SetBytes(int64(step))
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				if _, err := c.ReadAt(b.Context(), obj, buf, i*int64(step)%obj.Size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHitRandom reads 4 KiB at random of what is on disk: a block is read and
// checked for each.
func BenchmarkHitRandom(b *testing.B) {
	s := newSource()
	c := open(b, options(b.TempDir(), s))
	obj := s.put(ref(1), content(1, 256<<20))
	if err := c.Warm(b.Context(), obj); err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 4<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ReadAt(b.Context(), obj, buf, rnd.Int64N(obj.Size/4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkColdSequential reads 1 GiB that is not here, from a source that
// answers at once.
func BenchmarkColdSequential(b *testing.B) {
	for _, step := range []int{128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", step>>10), func(b *testing.B) {
			s := newSource()
			data := content(1, 1<<30)
			buf := make([]byte, step)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o := options(b.TempDir(), s)
				o.MemoryBytes, o.Size = 256<<20, 8<<30
				c := open(b, o)
				obj := s.put(ref(i), data)
				for off := 0; off < len(data); off += step {
					if _, err := c.ReadAt(b.Context(), obj, buf, int64(off)); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(c.Stats().MemoryPeak>>20), "MiB-peak")
				b.ReportMetric(float64(c.Stats().Unkept), "unkept")
				b.StopTimer()
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkColdSmall reads objects of 10 KiB that are not here, by 8 readers.
func BenchmarkColdSmall(b *testing.B) {
	s := newSource()
	c := open(b, options(b.TempDir(), s))
	data := content(1, 10<<10)
	next := make(chan manifest.Object, 64)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			buf := make([]byte, len(data))
			for obj := range next {
				if _, err := c.ReadAt(b.Context(), obj, buf, 0); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := 0; b.Loop(); i++ {
		next <- s.put(ref(i), data)
	}
	close(next)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}
