package fusefs_test

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// BenchmarkWalk lists and stats a directory of 100,000 names that the kernel has
// not seen, and again when it has.
func BenchmarkWalk(b *testing.B) {
	const n = 100_000
	tree := flat(b, n)
	b.Run("first", func(b *testing.B) {
		var cpu time.Duration
		for b.Loop() {
			b.StopTimer()
			m := mount(b, fusefs.Options{Content: newMemory(), Tree: tree})
			before := cpuTime(b)
			b.StartTimer()
			walk(b, m.Dir(), n)
			b.StopTimer()
			cpu += cpuTime(b) - before
			unmount(b, m)
			b.StartTimer()
		}
		report(b, cpu, n)
	})
	b.Run("again", func(b *testing.B) {
		m := mount(b, fusefs.Options{Content: newMemory(), Tree: tree})
		walk(b, m.Dir(), n)
		before := cpuTime(b)
		for b.Loop() {
			walk(b, m.Dir(), n)
		}
		report(b, cpuTime(b)-before, n)
	})
}

// report gives times for each of n entries. CPU time, of reader and server
// together, is what counts on a machine that does other things as well.
func report(b *testing.B, cpu time.Duration, n float64) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/n, "cpu-ns/entry")
}

// cpuTime gives what this process has used so far, in it and in the kernel.
func cpuTime(t testing.TB) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func usedCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpenReadClose reads small files that the kernel has.
func BenchmarkOpenReadClose(b *testing.B) {
	m, _ := mountFiles(b, map[string][]byte{"d/f": random(1, 4096)})
	path, p := m.Dir()+"/d/f", make([]byte, 4096)
	before := cpuTime(b)
	for b.Loop() {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(b, err)
		if n, err := unix.Read(fd, p); n != len(p) {
			b.Fatal(n, err)
		}
		unix.Close(fd)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkSequential reads 1 GiB: cold from Content that copies, then warm.
func BenchmarkSequential(b *testing.B) {
	const size = 1 << 30
	for _, kib := range []int{-1, 1024, 4096, 8192, 16384} {
		b.Run(fmt.Sprintf("cold/read-ahead=%d", kib), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				m := mount(b, fusefs.Options{Content: slow{newMemory()}, Tree: big(b, size), ReadAheadKiB: kib})
				b.StartTimer()
				readAll(b, m.Dir()+"/f", size)
				b.StopTimer()
				unmount(b, m)
				b.StartTimer()
			}
		})
	}
	b.Run("warm", func(b *testing.B) {
		m := mount(b, fusefs.Options{Content: slow{newMemory()}, Tree: big(b, size)})
		readAll(b, m.Dir()+"/f", size)
		b.SetBytes(size)
		for b.Loop() {
			readAll(b, m.Dir()+"/f", size)
		}
	})
}

func big(b *testing.B, size int64) *fusefs.Tree {
	return build(b, exact, "", manifest.Entry{Path: "f", Ref: "mem://b/f", Digest: "d", Size: size})
}

func readAll(b *testing.B, path string, size int64) {
	file, err := os.Open(path)
	must(b, err)
	defer file.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{file}, make([]byte, 1<<20))
	if n != size {
		b.Fatal(n, err)
	}
}
