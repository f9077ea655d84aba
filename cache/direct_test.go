package cache_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/cache"
)

// plainFS is a file system that has no O_DIRECT, and says so when a file is opened
// or only when it is used.
type plainFS struct {
	cache.HostFS
	atOpen bool
	opened atomic.Int64
}

func (p *plainFS) OpenFile(name string, flag int, perm fs.FileMode) (cache.File, error) {
	if flag&unix.O_DIRECT == 0 {
		return p.HostFS.OpenFile(name, flag, perm)
	}
	p.opened.Add(1)
	if p.atOpen {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	f, err := p.HostFS.OpenFile(name, flag&^unix.O_DIRECT, perm)
	return bufferedOnly{f}, err
}

type bufferedOnly struct{ cache.File }

func (bufferedOnly) ReadAt([]byte, int64) (int, error) {
	return 0, &fs.PathError{Op: "read", Err: syscall.EINVAL}
}
func (bufferedOnly) WriteAt([]byte, int64) (int, error) {
	return 0, &fs.PathError{Op: "write", Err: syscall.EINVAL}
}

// contentFile finds the one file of content in the cache of dir.
func contentFile(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files of content: got %q, %v, want one", names, err)
	}
	return names[0]
}

func TestFilesAreWhatTheObjectIs(t *testing.T) {
	sizes := []int{64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 8<<20 - 4095, 8<<20 + 4095, 9<<20 + 4096}
	for name, host := range map[string]cache.FS{"host": cache.HostFS{}, "refused at open": &plainFS{atOpen: true}, "refused later": &plainFS{}} {
		for i, size := range sizes {
			s, dir := newSource(), t.TempDir()
			o := options(dir, s)
			o.FS = host
			c, err := cache.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			data := content(uint64(i), size)
			obj := s.put(ref(i), data)
			readAll(t, c, obj, data, 100_000)
			eventually(t, "all on disk", func() bool { return c.Inspect(obj).Cached == obj.Size })
			if st := c.Stats(); st.DiskErrors != 0 || st.Unkept != 0 {
				t.Errorf("%s, %d bytes: got %d disk errors, %d parts not kept", name, size, st.DiskErrors, st.Unkept)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(contentFile(t, dir)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: file of %d bytes: got %d, %v, want the object's", name, size, len(got), err)
			}
			delete(s.data, obj.Ref)
			c = open(t, o)
			readAll(t, c, obj, data, 100_000)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if p, ok := host.(*plainFS); ok && p.opened.Load() == 0 {
			t.Errorf("%s: O_DIRECT was never tried", name)
		}
	}
}

// TestMemoryHoldsItOnce: neither filling nor reading leaves the content in the
// kernel's page cache, where the file system can do without.
func TestMemoryHoldsItOnce(t *testing.T) {
	for name, host := range map[string]cache.FS{"host": cache.HostFS{}, "without O_DIRECT": &plainFS{atOpen: true}} {
		s, dir := newSource(), t.TempDir()
		o := options(dir, s)
		o.FS = host
		c := open(t, o)
		data := content(1, 16<<20)
		obj := s.put(ref(1), data)
		if err := c.Warm(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		if n := resident(t, contentFile(t, dir)); n > len(data)/8 {
			t.Errorf("%s: %d of %d bytes in the page cache after a fill", name, n, len(data))
		}
		if name != "host" {
			continue
		}
		readAll(t, c, obj, data, 128<<10)
		if n := resident(t, contentFile(t, dir)); n > len(data)/8 {
			t.Errorf("%s: %d of %d bytes in the page cache after reading them", name, n, len(data))
		}
	}
}

// resident gives how many bytes of a file are in the page cache. On tmpfs, which is
// nothing but page cache, that is 0.
func resident(t *testing.T, name string) (n int) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		return 0
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	pages := make([]byte, (len(b)+4095)/4096)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		n += int(p&1) * 4096
	}
	return n
}

// stuckFS holds every write until it is let go. Files that are lent are the host's own.
type stuckFS struct {
	cache.HostFS
	gate chan struct{}
}

func (s *stuckFS) OpenFile(name string, flag int, perm fs.FileMode) (cache.File, error) {
	f, err := s.HostFS.OpenFile(name, flag, perm)
	if err != nil || flag&unix.O_ACCMODE == unix.O_RDONLY {
		return f, err
	}
	return stuck{f, s.gate}, nil
}

type stuck struct {
	cache.File
	gate chan struct{}
}

func (s stuck) WriteAt(b []byte, off int64) (int, error) {
	<-s.gate
	return s.File.WriteAt(b, off)
}

func TestReaderDoesNotWaitForTheDisk(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 16 << 20
	disk := &stuckFS{gate: make(chan struct{})}
	o.FS = disk
	c := open(t, o)
	data := content(1, 80<<20) // five times the memory
	obj := s.put(ref(1), data)
	readAll(t, c, obj, data, 128<<10)
	if got := c.Inspect(obj).Cached; got != 0 {
		t.Errorf("on a disk that takes nothing: got %d bytes", got)
	}
	if st := c.Stats(); st.Unkept == 0 || st.MemoryPeak > o.MemoryBytes {
		t.Errorf("got %d parts not kept and %d bytes of memory, want some, and at most %d", st.Unkept, st.MemoryPeak, o.MemoryBytes)
	}
	if _, b := s.asked(); b > obj.Size+obj.Size/8 {
		t.Errorf("bytes asked for: got %d for an object of %d", b, obj.Size)
	}
	close(disk.gate)
	readAll(t, c, obj, data, 128<<10)
	eventually(t, "all of it on a disk that writes again", func() bool {
		readAll(t, c, obj, data, 1<<20)
		return c.Inspect(obj).Cached == obj.Size
	})
}

// countingFS counts reads of content, and what passes by the page cache; not those of
// files that are lent.
type countingFS struct {
	cache.HostFS
	reads, bytes    atomic.Int64
	direct, refused atomic.Int64
}

func (s *countingFS) OpenFile(name string, flag int, perm fs.FileMode) (cache.File, error) {
	past := flag&unix.O_DIRECT != 0
	f, err := s.HostFS.OpenFile(name, flag, perm)
	if err != nil && past {
		s.refused.Add(1)
	}
	if err != nil || flag&unix.O_ACCMODE == unix.O_RDONLY {
		return f, err
	}
	return counting{f, s, past}, nil
}

type counting struct {
	cache.File
	s    *countingFS
	past bool
}

func (c counting) WriteAt(b []byte, off int64) (int, error) {
	n, err := c.File.WriteAt(b, off)
	c.note(n, err)
	return n, err
}

func (c counting) note(n int, err error) {
	switch {
	case c.past && err != nil:
		c.s.refused.Add(1)
	case c.past:
		c.s.direct.Add(int64(n))
	}
}

func (c counting) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.File.ReadAt(b, off)
	c.s.reads.Add(1)
	c.s.bytes.Add(int64(n))
	c.note(n, nil)
	return n, err
}

// TestDiskIsReadAhead: a sequential reader of what is on disk makes few reads of
// it, and each byte is read once.
func TestDiskIsReadAhead(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	disk := &countingFS{}
	o.FS = disk
	c := open(t, o)
	data := content(1, 64<<20)
	obj := s.put(ref(1), data)
	if err := c.Warm(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if disk.refused.Load() == 0 && disk.direct.Load() != obj.Size {
		t.Errorf("written past the page cache: got %d bytes of %d", disk.direct.Load(), obj.Size)
	}
	disk.reads.Store(0)
	disk.direct.Store(0)
	disk.bytes.Store(0)
	const step = 128 << 10
	readAll(t, c, obj, data, step)
	if n := disk.reads.Load(); n > obj.Size/step/4 {
		t.Errorf("reads from disk: got %d for %d of the reader", n, obj.Size/step)
	}
	if n := disk.bytes.Load(); n > obj.Size+obj.Size/8 {
		t.Errorf("bytes read from disk: got %d of an object of %d", n, obj.Size)
	}
	if disk.refused.Load() == 0 && disk.direct.Load() != disk.bytes.Load() {
		t.Errorf("read past the page cache: got %d bytes of %d", disk.direct.Load(), disk.bytes.Load())
	}
	if st := c.Stats(); st.Hits == 0 || st.Misses != 0 {
		t.Errorf("got %d hits and %d misses, want only hits", st.Hits, st.Misses)
	}
}

// TestDenseReadsAreFilled: when much of a region was read at random, the rest of
// it is fetched, and nothing of the others.
func TestDenseReadsAreFilled(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	const region = 8 << 20
	data := content(1, 4*region)
	obj := s.put(ref(1), data)
	buf := make([]byte, 4096)
	for i := range 40 { // in no order that looks like one
		off := int64(region + (i*37%128)*cache.BlockSize + 4096)
		if n, err := c.ReadAt(t.Context(), obj, buf, off); err != nil || !bytes.Equal(buf[:n], data[off:off+4096]) {
			t.Fatalf("ReadAt(%d): got %d, %v", off, n, err)
		}
		if i < 8 {
			if _, b := s.asked(); b > int64(i+1)*cache.BlockSize {
				t.Fatalf("bytes asked for by %d reads: got %d", i+1, b)
			}
		}
		want := int64(min(i+1, 20)) * cache.BlockSize
		eventually(t, "what was read on disk", func() bool { return c.Inspect(obj).Cached >= want })
	}
	eventually(t, "the region on disk", func() bool { return c.Inspect(obj).Cached == region })
	if _, b := s.asked(); b != region {
		t.Errorf("bytes asked for: got %d, want a region of %d", b, region)
	}
}
