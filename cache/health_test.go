package cache_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/cache"
)

// lines is a log for many writers.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

// TestOneAlarm: a disk on which files fail, while the index of the cache still works,
// is bypassed with one alarm, whatever was under way when that began.
func TestOneAlarm(t *testing.T) {
	s, broken, log := newSource(), &faultFS{err: syscall.EIO}, &lines{}
	broken.free.Store(1 << 40)
	o := options(t.TempDir(), s)
	o.FS, o.Logger = broken, slog.New(slog.NewTextHandler(log, nil))
	c := open(t, o)
	broken.armed.Store(true)
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for i := range 100 {
				size := []int{10_000, 300_000}[i%2] // in the index, in a file
				obj := s.put(ref(r*100+i), content(uint64(r*100+i), size))
				readAll(t, c, obj, content(uint64(r*100+i), size), cache.BlockSize)
			}
		})
	}
	readers.Wait()
	if n := log.count("cache disk fails"); n != 1 || !c.Stats().Bypassed {
		t.Errorf("%d alarms, bypassed %t, want one and a bypass", n, c.Stats().Bypassed)
	}
	if n := log.count("works again"); n != 0 {
		t.Errorf("%d times it worked again", n)
	}
}
