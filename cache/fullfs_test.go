package cache_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFileSystemFills fills a real file system up to its last byte while the
// cache on it is being filled too. Badger's mapped files would turn a full disk
// into SIGBUS, the end of the process.
func TestFileSystemFills(t *testing.T) {
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=512m"); err != nil {
		t.Fatalf("mount tmpfs: %v (this test needs root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := newSource()
	o := options(filepath.Join(mnt, "cache"), s)
	o.MinFree = 0 // the default
	c := open(t, o)
	var wg sync.WaitGroup
	full := make(chan struct{})
	wg.Go(func() {
		defer close(full)
		fillUp(t, filepath.Join(mnt, "other"))
	})
	after := 0
	for i := 0; after < 40; i++ {
		select {
		case <-full:
			after++
		default:
		}
		data := content(uint64(i), []int{700, 50_000, 300_000, 3 << 20}[i%4])
		readAll(t, c, s.put(ref(i), data), data, 128<<10)
	}
	wg.Wait()
	if st := c.Stats(); st.DiskFree > st.MinFree {
		t.Errorf("free %d, floor %d: it never was full", st.DiskFree, st.MinFree)
	}
	if err := os.Remove(filepath.Join(mnt, "other")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	data := content(1<<20, 300_000)
	obj := s.put("s3://b/after", data)
	readAll(t, c, obj, data, 128<<10)
	eventually(t, "keeping again when there is room", func() bool { return c.Inspect(obj).Cached == obj.Size })
}

// fillUp writes until the file system is full, at some 500 MB/s.
func fillUp(t *testing.T, name string) {
	f, err := os.Create(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	mib := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(mib)
		time.Sleep(2 * time.Millisecond)
	}
	for n := len(mib); n > 0; n /= 2 { // to the last byte
		_, _ = f.Write(mib[:n])
	}
}
