package integration_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pinfs/pinfs/testwarden"
)

// hashed is a tree of equal files to hash, and the best way to run md5sum over it.
type hashed struct {
	files, size int
	batch       int // files for each md5sum
}

// tree writes the files, 1,000 to a directory.
func (s hashed) tree(t testing.TB) string {
	t.Helper()
	top := t.TempDir()
	data := make([]byte, s.size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	for i := range s.files {
		dir := filepath.Join(top, fmt.Sprintf("%03d", i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		copy(data, fmt.Sprintf("%08d", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// spent is what a command took, its children with it.
type spent struct{ wall, cpu time.Duration }

func timed(t testing.TB, cmd *exec.Cmd) spent {
	t.Helper()
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, tail(string(out), 1000))
	}
	state := cmd.ProcessState
	return spent{time.Since(start), state.UserTime() + state.SystemTime()}
}

// pair hashes the tree by a whole `pinfs put`, and by md5sum on two processes.
func (s hashed) pair(t testing.TB, h *host, top string) (put, md5sum spent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	script := fmt.Sprintf("find . -type f -print0 | xargs -0 -P2 -n%d md5sum >%s", s.batch, filepath.Join(t.TempDir(), "sums"))
	sums := testwarden.Command(ctx, "bash", "-c", script)
	sums.Dir = top
	md5sum = timed(t, sums)
	name := fmt.Sprintf("speed/hash-%d-%d", s.files, s.size)
	put = timed(t, h.command(ctx, "--quiet", "put", "--max-objects", "0", "--name", name, "--type", "dataset", "--dry-run", top))
	return put, md5sum
}

// TestHashesAsFastAsMD5sum is the short form of BenchmarkHash. CPU time is less
// noisy than time; the bound has room for a machine that does other things, and
// for the start of a process.
func TestHashesAsFastAsMD5sum(t *testing.T) {
	for name, s := range map[string]hashed{"large": {16, 16 << 20, 4}, "small": {20_000, 6 << 10, 500}} {
		t.Run(name, func(t *testing.T) {
			h, top, best := newHost(t), s.tree(t), 100.0
			for range 5 {
				put, md5sum := s.pair(t, h, top)
				best = min(best, put.cpu.Seconds()/md5sum.cpu.Seconds())
			}
			t.Logf("CPU time of put is %.2f of md5sum's", best)
			if best > 1.8 {
				t.Errorf("CPU time of put is %.2f of md5sum's, want at most 1.8", best)
			}
		})
	}
}

// BenchmarkHash: a directory of 4 GiB, and 100,000 small files, each by put and by
// md5sum on two processes with its best batch.
func BenchmarkHash(b *testing.B) {
	for name, s := range map[string]hashed{"4GiB": {64, 64 << 20, 4}, "100k": {100_000, 6 << 10, 500}} {
		b.Run(name, func(b *testing.B) {
			h, top := newHost(b), s.tree(b)
			var wall, cpu []time.Duration // of put, in parts of a second of md5sum's
			for b.Loop() {
				put, md5sum := s.pair(b, h, top)
				wall = append(wall, time.Duration(float64(put.wall)/md5sum.wall.Seconds()))
				cpu = append(cpu, time.Duration(float64(put.cpu)/md5sum.cpu.Seconds()))
			}
			b.ReportMetric(median(wall)/1e9, "of-md5sum's-time")
			b.ReportMetric(median(cpu)/1e9, "of-md5sum's-CPU")
			b.ReportMetric(0, "ns/op")
		})
	}
}
