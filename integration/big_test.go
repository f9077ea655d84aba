package integration_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

const (
	bigSize  = 1 << 30
	bigQuota = 256 << 20
	// fetched is what comes for a small random read: a block of the cache.
	fetched = 64 << 10
)

// TestBigObject: an object far larger than the cache is read whole and right, by
// ranges at once, in bounded memory and disk; random reads fetch little.
func TestBigObject(t *testing.T) {
	h, p := newHost(t).with("PINFS_CACHE_SIZE=" + itoa(bigQuota)).behind()
	bucket := newBucket(t, true)
	sum, pages := sha256.New(), newSample(bigSize, 300)
	content := io.LimitReader(rand.NewChaCha8([32]byte{9}), bigSize)
	shared.s3.PutStream(t, bucket, "d/big", io.TeeReader(content, io.MultiWriter(sum, pages)), 32<<20)
	h.put("big/one", "s3://"+bucket+"/d")
	t.Run("random", func(t *testing.T) { randomReads(t, h.cacheAt("other-cache"), p, pages) })
	mnt := h.mount("big/one:v0")
	p.Traffic()
	most := watchDisk(filepath.Join(h.dir, "cache"))
	got, _, _ := strings.Cut(program(t, mnt, "sha256sum", "big"), " ")
	if want := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("sha256 %s, want %s", got, want)
	}
	traffic, disk, memory := p.Traffic(), most(), peakMemory(t, h.status().Daemon.PID)
	t.Logf("%d GETs at once, %d MiB fetched, at most %d MiB on disk and %d MiB in memory", traffic.Peak, traffic.Bytes>>20, disk>>20, memory>>20)
	if traffic.Peak < 4 {
		t.Errorf("at most %d GETs at once, want at least 4", traffic.Peak)
	}
	if traffic.Bytes > bigSize*33/32 {
		t.Errorf("%d bytes were fetched for %d", traffic.Bytes, bigSize)
	}
	if memory > 512<<20 {
		t.Errorf("the daemon took %d bytes of memory, want at most 512 MiB", memory)
	}
	if disk > bigQuota*11/10 {
		t.Errorf("the cache took %d bytes of disk, its limit is %d", disk, bigQuota)
	}
}

// sample keeps some pages of what is written to it.
type sample struct {
	at    int64
	pages map[int64][]byte // by offset
}

const page = 4 << 10

// newSample chooses n pages of size bytes, not the first one.
func newSample(size int64, n int) *sample {
	s := &sample{pages: map[int64][]byte{}}
	for random := rand.New(rand.NewPCG(1, 2)); len(s.pages) < n; {
		s.pages[page*(1+random.Int64N(size/page-1))] = make([]byte, page)
	}
	return s
}

func (s *sample) Write(p []byte) (int, error) {
	for off, data := range s.pages {
		from, to := max(off, s.at), min(off+page, s.at+int64(len(p)))
		if from < to {
			copy(data[from-off:], p[from-s.at:to-s.at])
		}
	}
	s.at += int64(len(p))
	return len(p), nil
}

// randomReads reads pages here and there of an object that is not cached.
func randomReads(t *testing.T, h *host, p *servers.FaultProxy, want *sample) {
	h.t = t
	file, err := os.Open(filepath.Join(h.mount("big/one:v0"), "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p.Traffic()
	before := gets(p)
	got := make([]byte, page)
	for off, data := range want.pages {
		if _, err := file.ReadAt(got, off); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("wrong bytes at %d: %v", off, err)
		}
	}
	n, bytes := len(want.pages), p.Traffic().Bytes
	t.Logf("%d reads: %d GETs, %d bytes each", n, gets(p)-before, bytes/int64(n))
	if limit := int64(n) * fetched * 5 / 4; bytes > limit {
		t.Errorf("%d random reads of %d bytes fetched %d bytes, want at most %d", n, page, bytes, limit)
	}
}

// watchDisk measures how much disk a directory takes; the function it gives ends
// that and tells the most.
func watchDisk(dir string) func() int64 {
	end, most := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			peak = max(peak, diskUse(dir))
			select {
			case <-end:
				most <- max(peak, diskUse(dir))
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(end); return <-most }
}

// diskUse is what du tells of a cache directory, without its fixed reserve; files
// that go meanwhile are not counted.
func diskUse(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		var st syscall.Stat_t
		if filepath.Base(path) != "reserve" && syscall.Lstat(path, &st) == nil {
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes
}

// peakMemory gives VmHWM, the most that a process had in memory.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status := read(t, fmt.Sprintf("/proc/%d/status", pid))
	found := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
