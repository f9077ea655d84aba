package cache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// cpuTime is what this process has used so far: what counts when client, daemon
// and server share the processors.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// each calls fn for b.N objects of 8 KiB, from so many goroutines, and reports
// the time and the CPU time of one object, what is written behind included.
func each(b *testing.B, workers int, fn func(c *cache.Cache, obj manifest.Object, buf []byte) error) {
	s := newSource()
	s.quiet = true
	c := open(b, options(b.TempDir(), s))
	data := content(1, 8<<10)
	objs := make([]manifest.Object, b.N)
	for i := range objs {
		objs[i] = s.put(ref(i), data)
	}
	var wg sync.WaitGroup
	before := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	for w := range workers {
		wg.Go(func() {
			buf := make([]byte, len(data))
			for i := w; i < len(objs); i += workers {
				if err := fn(c, objs[i], buf); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkSmallCold reads objects of 8 KiB that are not here, by 8 readers.
func BenchmarkSmallCold(b *testing.B) {
	each(b, 8, func(c *cache.Cache, obj manifest.Object, buf []byte) error {
		_, err := c.ReadAt(context.Background(), obj, buf, 0)
		return err
	})
}

// BenchmarkWarmMany warms objects of 8 KiB, 64 at once.
func BenchmarkWarmMany(b *testing.B) {
	each(b, 64, func(c *cache.Cache, obj manifest.Object, _ []byte) error {
		return c.Warm(context.Background(), obj)
	})
}
