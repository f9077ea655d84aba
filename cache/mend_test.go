package cache_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// stuckCache gives a cache of 16 MiB of memory whose disk takes nothing until gate
// is closed, and an object of five times that.
func stuckCache(t *testing.T) (c *cache.Cache, s *source, obj manifest.Object, gate chan struct{}) {
	t.Helper()
	s = newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 16 << 20
	disk := &stuckFS{gate: make(chan struct{})}
	o.FS = disk
	data := content(1, 80<<20)
	obj = s.put(ref(1), data)
	s.vouch(obj.Ref, sumsOf(data)[2:3])
	return open(t, o), s, obj, disk.gate
}

// readTo reads the first n bytes of obj.
func readTo(t *testing.T, c *cache.Cache, s *source, obj manifest.Object, n int64) {
	t.Helper()
	readAll(t, c, obj, s.data[obj.Ref][:n], 128<<10)
}

// TestGivenUpIsFetchedForALoan: who read a file on a disk that took nothing gets it lent
// without reading it again, whether it was closed before parts were given up or after.
func TestGivenUpIsFetchedForALoan(t *testing.T) {
	for name, early := range map[string]bool{"closed before": true, "closed after": false} {
		t.Run(name, func(t *testing.T) {
			c, s, obj, gate := stuckCache(t)
			if early {
				c.Prepare(obj)
			}
			readTo(t, c, s, obj, obj.Size)
			if c.Stats().Unkept == 0 {
				t.Fatal("nothing was given up")
			}
			if !early {
				c.Prepare(obj)
			}
			if got := c.Stats().Busy; got == 0 {
				t.Error("nobody is told that something is under way")
			}
			close(gate)
			eventually(t, "nothing under way", func() bool { return c.Stats().Busy == 0 })
			l, file := c.Lend(obj, false, never)
			if l == nil {
				t.Fatalf("not lent: %+v of %d bytes", c.Inspect(obj), obj.Size)
			}
			defer l.Close()
			wantFile(t, file, s.data[obj.Ref])
			file.Close()
			if _, asked := s.asked(); asked > 2*obj.Size+obj.Size/8 {
				t.Errorf("asked for %d bytes of an object of %d, want those once more at most that were given up", asked, obj.Size)
			}
		})
	}
}

// TestGivenUpInWholeIsFetchedForALoan: objects that are checked before they are served.
func TestGivenUpInWholeIsFetchedForALoan(t *testing.T) {
	const n = 40
	c, s, _, gate := stuckCache(t)
	var objs []manifest.Object
	for i := range n {
		data := content(uint64(i), 1<<20)
		obj := s.put(ref(10+i), data)
		s.vouch(obj.Ref, sumsOf(data)[:1])
		readTo(t, c, s, obj, obj.Size)
		c.Prepare(obj)
		objs = append(objs, obj)
	}
	if c.Stats().Unkept == 0 {
		t.Fatal("nothing was given up")
	}
	close(gate)
	eventually(t, "nothing under way", func() bool { return c.Stats().Busy == 0 })
	for _, obj := range objs {
		l, file := c.Lend(obj, true, never)
		if l == nil {
			t.Fatalf("not lent: %+v", c.Inspect(obj))
		}
		wantFile(t, file, s.data[obj.Ref])
		file.Close()
		l.Close()
	}
}

// TestOnlyGivenUpIsFetchedAgain: not what nobody read, and nothing of what nobody
// would borrow.
func TestOnlyGivenUpIsFetchedAgain(t *testing.T) {
	for name, wanted := range map[string]bool{"wanted": true, "not wanted": false} {
		t.Run(name, func(t *testing.T) {
			c, s, obj, gate := stuckCache(t)
			readTo(t, c, s, obj, obj.Size/2)
			if wanted {
				c.Prepare(obj)
			}
			close(gate)
			eventually(t, "nothing under way", func() bool { return c.Stats().Busy == 0 })
			here := c.Inspect(obj).Cached
			if wanted && here < obj.Size/2 {
				t.Errorf("got %d bytes here, want all %d that were read", here, obj.Size/2)
			}
			if !wanted && here >= obj.Size/2 {
				t.Errorf("got %d bytes here, though nobody wants what was given up", here)
			}
			if here == obj.Size {
				t.Error("all of it was fetched, of which half was read")
			}
		})
	}
}

// TestMendingLeavesReadersAlone: while the disk takes nothing, nothing is fetched for
// it, nor given up in turn.
func TestMendingLeavesReadersAlone(t *testing.T) {
	c, s, obj, gate := stuckCache(t)
	readTo(t, c, s, obj, obj.Size)
	c.Prepare(obj)
	n, _ := s.asked()
	time.Sleep(time.Second)
	if again, _ := s.asked(); again != n {
		t.Errorf("asked %d times for a disk that takes nothing", again-n)
	}
	close(gate)
}

// TestMendedInWholeIsCheckedFirst: what is fetched again is served like anything else.
func TestMendedInWholeIsCheckedFirst(t *testing.T) {
	c, s, large, gate := stuckCache(t)
	data := content(2, 1<<20)
	obj := s.put(ref(2), data)
	s.vouch(obj.Ref, sumsOf(data)[:1])
	readTo(t, c, s, large, large.Size/4) // the disk is busy
	readTo(t, c, s, obj, obj.Size)
	c.Prepare(obj)
	readTo(t, c, s, large, large.Size)
	n, _ := s.asked()
	rest := make(chan struct{})
	s.hook(nil, func(_ manifest.Object, _ int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		b[0] ^= 1
		return io.MultiReader(bytes.NewReader(b[:len(b)/2]), &gated{bytes.NewReader(nil), rest}, bytes.NewReader(b[len(b)/2:]))
	})
	close(gate)
	eventually(t, "it is fetched again", func() bool { again, _ := s.asked(); return again > n })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got, err := c.ReadAt(ctx, obj, make([]byte, 100), 0); got != 0 || err == nil {
		t.Errorf("while half of it is here: got %d bytes, %v; want none", got, err)
	}
	close(rest)
	eventually(t, "nothing under way", func() bool { return c.Stats().Busy == 0 })
	if got := c.Inspect(obj); got.Cached != 0 || manifest.KindOf(got.LastError) != manifest.KindCorrupt {
		t.Errorf("of other bytes: got %+v, want nothing kept", got)
	}
}
