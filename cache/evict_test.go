package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

func TestQuota(t *testing.T) {
	for name, size := range map[string]int{"small": 40_000, "whole": 300_000, "large": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			s := newSource()
			o := options(t.TempDir(), s)
			o.Size, o.UseGrain = 16<<20, time.Millisecond
			c := open(t, o)
			kept := s.put("s3://b/kept", content(99, size))
			if err := c.Keep(t.Context(), kept, true); err != nil {
				t.Fatal(err)
			}
			first := s.put("s3://b/first", content(98, size))
			readAll(t, c, first, s.data[first.Ref], 1<<20)
			n := 3 * int(o.Size) / size
			for i := range n {
				obj := s.put(ref(i), content(uint64(i), size))
				readAll(t, c, obj, s.data[obj.Ref], 1<<20)
				if st := c.Stats(); st.Used > o.Size {
					t.Fatalf("used after %d objects: got %d, want at most %d", i, st.Used, o.Size)
				}
				time.Sleep(time.Millisecond / 4)
			}
			eventually(t, "evictions", func() bool { return c.Stats().Evicted >= int64(n/2) })
			if got := c.Stats().Used; got < o.Size/2 {
				t.Errorf("used: got %d, want most of %d", got, o.Size)
			}
			if got := c.Inspect(kept); got.Cached != kept.Size || !got.Kept {
				t.Errorf("kept object: got %+v, want all of it", got)
			}
			if got := c.Inspect(first); got.Cached != 0 {
				t.Errorf("object used first: got %+v, want it evicted", got)
			}
			last := s.put(ref(n-1), s.data[ref(n-1)])
			eventually(t, "the object used last", func() bool { return c.Inspect(last).Cached > 0 })
			if err := c.Keep(t.Context(), kept, false); err != nil {
				t.Fatal(err)
			}
			for i := n; i < 2*n; i++ {
				obj := s.put(ref(i), content(uint64(i), size))
				readAll(t, c, obj, s.data[obj.Ref], 1<<20)
			}
			eventually(t, "the end of keeping", func() bool { return c.Inspect(kept).Cached == 0 })
		})
	}
}

// TestEvictionSparesReaders reads an object all the while that others push.
func TestEvictionSparesReaders(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.Size = 16 << 20
	c := open(t, o)
	data := content(1, 4<<20)
	obj := s.put("s3://b/read", data)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					readAll(t, c, obj, data, 100_000)
				}
			}
		})
	}
	for i := range 100 {
		b := content(uint64(i), 1<<20)
		readAll(t, c, s.put(ref(i), b), b, 1<<20)
	}
	close(stop)
	wg.Wait()
	if got := c.Stats(); got.Evicted == 0 || got.Used > o.Size {
		t.Errorf("evicted %d, used %d: want evictions, and at most %d", got.Evicted, got.Used, o.Size)
	}
}

// TestPiecesOvertakeEachOther: the kernel asks for several pieces at once. What is
// not kept is fetched once all the same.
func TestPiecesOvertakeEachOther(t *testing.T) {
	const size, piece = 48 << 20, 1 << 20
	s := newSource()
	o := options(t.TempDir(), s)
	o.Size = 1 << 20 // all of it goes through memory
	c := open(t, o)
	data := content(1, size)
	obj := s.put(ref(1), data)
	buf := make([]byte, piece)
	for start := int64(0); start < size; start += 4 * piece {
		for _, i := range []int64{1, 0, 3, 2} {
			off := start + i*piece
			if n, err := c.ReadAt(t.Context(), obj, buf, off); err != nil || !bytes.Equal(buf[:n], data[off:off+piece]) {
				t.Fatalf("ReadAt(%d): got %d, %v", off, n, err)
			}
		}
	}
	if _, got := s.asked(); got > size+4*piece {
		t.Errorf("asked for %d bytes of an object of %d", got, size)
	}
}

// TestLargerThanTheCache: read right, bounded, and the others are not all pushed out.
func TestLargerThanTheCache(t *testing.T) {
	for _, local := range []bool{false, true} {
		s := newSource()
		o := options(t.TempDir(), s)
		o.Size, o.MemoryBytes = 8<<20, 16<<20
		c := open(t, o)
		small := s.put("s3://b/small", content(3, 1<<20))
		readAll(t, c, small, s.data[small.Ref], 1<<20)
		eventually(t, "the small one", func() bool { return c.Inspect(small).Cached == small.Size })
		data := content(1, 40<<20)
		obj := s.put(ref(1), data)
		if local {
			obj = s.putFile("file:///large", data)
		}
		for range 2 {
			readAll(t, c, obj, data, 1<<20)
			if got := c.Stats().Used; got > o.Size {
				t.Errorf("used: got %d, want at most %d", got, o.Size)
			}
		}
		if got := c.Inspect(small).Cached; got != small.Size {
			t.Errorf("another object: %d bytes here, want it not pushed out", got)
		}
		if err := c.Warm(t.Context(), obj); manifest.KindOf(err) != manifest.KindLimit {
			t.Errorf("Warm: got %v, want KindLimit", err)
		}
		if !local {
			continue
		}
		b := append([]byte(nil), data...)
		b[30<<20] ^= 1
		s.put(obj.Ref, b) // the file changes behind the pass
		eventually(t, "KindChanged for a block that changed after the pass", func() bool {
			n, err := c.ReadAt(t.Context(), obj, make([]byte, 100), 30<<20)
			if err == nil && n != 100 {
				t.Fatalf("read of a changed block: got %d", n)
			}
			return manifest.KindOf(err) == manifest.KindChanged
		})
	}
}

func TestOrderOfUseSurvives(t *testing.T) {
	s := newSource()
	dir := t.TempDir()
	o := options(dir, s)
	o.Size, o.UseGrain = 16<<20, time.Millisecond
	c, err := cache.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var objs []manifest.Object
	for i := range 12 {
		objs = append(objs, s.put(ref(i), content(uint64(i), 1<<20)))
		if err := c.Warm(t.Context(), objs[i]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
	}
	readAll(t, c, objs[0], s.data[objs[0].Ref], 1<<20) // now the last used
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, o)
	for i := 100; i < 107; i++ {
		if err := c.Warm(t.Context(), s.put(ref(i), content(uint64(i), 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Inspect(objs[0]).Cached; got == 0 {
		t.Error("the object used last before the restart was evicted")
	}
	if got := c.Inspect(objs[1]).Cached; got != 0 {
		t.Error("the object used first is still here")
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, options(dir, newSource()))
	_, err := cache.Open(options(dir, newSource()))
	if manifest.KindOf(err) != manifest.KindBusy {
		t.Fatalf("second Open: got %v, want KindBusy", err)
	}
	want := "cache directory " + dir + " is held by process "
	if got := err.Error(); !strings.Contains(got, want) {
		t.Errorf("second Open: got %q, want it to say %q", got, want)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(file, "below"), file} {
		if _, err := cache.Open(options(dir, newSource())); err == nil {
			t.Errorf("Open(%q): got no error", dir)
		}
	}
	if _, err := cache.Open(cache.Options{Dir: t.TempDir()}); manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("Open without a source: got %v, want KindInvalid", err)
	}
}

// TestFull: below the floor nothing is written, and reads go on.
func TestFull(t *testing.T) {
	for _, atStart := range []bool{false, true} {
		s := newSource()
		full := &faultFS{}
		o := options(t.TempDir(), s)
		o.FS, o.MinFree = full, 256<<20
		full.free.Store(1 << 40)
		if atStart {
			full.free.Store(1 << 20)
		}
		c := open(t, o)
		full.free.Store(1 << 20)
		for i, n := range []int{1000, 500_000, 20 << 20} {
			obj := s.put(ref(i), content(uint64(i), n))
			readAll(t, c, obj, s.data[obj.Ref], 128<<10)
			if got := c.Inspect(obj).Cached; got != 0 {
				t.Errorf("kept on a full disk: got %d bytes, want 0", got)
			}
		}
		if _, b := s.asked(); b > 21<<20 {
			t.Errorf("bytes asked for when reading through: got %d, want each about once", b)
		}
	}
}

// TestBrokenDisk fails every file operation, from the N-th on, for each N.
func TestBrokenDisk(t *testing.T) {
	for n := range 40 {
		s := newSource()
		broken := &faultFS{}
		broken.free.Store(1 << 40)
		o := options(t.TempDir(), s)
		o.FS = broken
		c := open(t, o)
		broken.left.Store(int64(n))
		broken.err = syscall.EIO
		broken.armed.Store(true)
		for i, n := range []int{300_000, 5 << 20} {
			obj := s.put(ref(i), content(uint64(i), n))
			local := s.putFile("file:///"+ref(i), s.data[obj.Ref])
			for range 2 {
				readAll(t, c, obj, s.data[obj.Ref], 128<<10)
				readAll(t, c, local, s.data[obj.Ref], 128<<10)
			}
		}
		if n == 0 && !c.Stats().Bypassed {
			t.Errorf("a disk that fails always: got %+v, want it bypassed", c.Stats())
		}
	}
}
