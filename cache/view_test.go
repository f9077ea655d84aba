package cache_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// viewed is ReadAt by way of a View.
func viewed(t testing.TB, c *cache.Cache, obj manifest.Object, p []byte, off int64) (lent int, err error) {
	t.Helper()
	v, err := c.View(t.Context(), obj, p, off)
	defer v.Done()
	got := slices.Concat(v.Head, v.Tail)
	if len(got) == 0 {
		return 0, err
	}
	if len(v.Head) > 0 && &v.Head[0] != &p[0] {
		t.Fatalf("View(%s, %d): the head is not in the caller's buffer", obj.Ref, off)
	}
	lent = len(v.Tail)
	copy(p, got)
	return lent, err
}

func TestViewIsReadAt(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	lent := 0
	for i, size := range []int{100, 300_000, 1<<20 + 1, 20<<20 + 12345} {
		data := content(uint64(i), size)
		for j, obj := range []manifest.Object{s.put(ref(i), data), s.putFile("file:///data/"+ref(i), data)} {
			for off := 0; off < size; off += 777_777 {
				p := make([]byte, 777_777)
				want := data[off:min(off+len(p), size)]
				n, err := viewed(t, c, obj, p, int64(off))
				if wantEOF := len(want) < len(p); wantEOF != errors.Is(err, io.EOF) || !wantEOF && err != nil {
					t.Fatalf("View of %d bytes, kind %d, at %d: %v", size, j, off, err)
				}
				if !bytes.Equal(p[:len(want)], want) {
					t.Fatalf("View of %d bytes, kind %d, at %d: other bytes", size, j, off)
				}
				lent += n
			}
		}
	}
	if lent < 10<<20 {
		t.Errorf("of 40 MiB read for the first time %d bytes were lent, want a quarter at least", lent)
	}
}

func TestViewKeepsItsBytes(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 16 << 20
	c := open(t, o)
	data, other := content(1, 8<<20), content(2, 64<<20)
	obj, much := s.put(ref(1), data), s.put(ref(2), other)
	p := make([]byte, 100_000)
	v, err := c.View(t.Context(), obj, p, 0)
	if err != nil || len(v.Tail) == 0 {
		t.Fatalf("first read: %d bytes lent, %v", len(v.Tail), err)
	}
	readAll(t, c, much, other, 1<<20) // several times what there is of memory
	if err := c.Drop(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(v.Head, v.Tail); !bytes.Equal(got, data[:len(p)]) {
		t.Error("what was lent has changed")
	}
	v.Done()
	readAll(t, c, obj, data, 1<<20)
}

func TestViewOfWhatFails(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	obj := s.put(ref(1), content(1, 2<<20))
	s.mu.Lock()
	delete(s.data, ref(1))
	s.mu.Unlock()
	v, err := c.View(t.Context(), obj, make([]byte, 100_000), 0)
	if manifest.KindOf(err) != manifest.KindGone || len(v.Head)+len(v.Tail) > 0 {
		t.Errorf("got %d bytes, %v, want KindGone", len(v.Head)+len(v.Tail), err)
	}
	v.Done()
}
