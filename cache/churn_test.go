package cache_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSmallChurnGivesDiskBack pushes many times the quota of small objects
// through the cache: what was evicted must leave the disk too.
func TestSmallChurnGivesDiskBack(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.Size = 128 << 20
	c := open(t, o)
	data := content(1, 60_000)
	for i := 0; int64(i*len(data)) < 10*o.Size; i++ {
		readAll(t, c, s.put(ref(i), data), data, 64<<10)
	}
	// The reserve, and what badger has not found out to be garbage: that of the
	// memtable and two tables, whatever the limit is.
	limit := o.Size + 64<<20 + 256<<20
	eventually(t, "disk given back", func() bool { return diskOf(t, o.Dir) <= limit })
	if got := c.Stats(); got.Used < o.Size/2 || got.Used > o.Size {
		t.Errorf("used: got %d, want most of %d", got.Used, o.Size)
	}
}

// diskOf adds up what the files below dir occupy.
func diskOf(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, fi os.FileInfo, err error) error {
		if err == nil {
			total += fi.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil // files come and go
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
