package cache_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// flipping is a body hook that flips one byte of the response that holds the
// object's byte at.
func flipping(at int64) func(manifest.Object, int64, io.Reader) io.Reader {
	return func(_ manifest.Object, off int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		if i := at - off; i >= 0 && i < int64(len(b)) {
			b[i] ^= 1
		}
		return bytes.NewReader(b)
	}
}

// strictAll reads obj with ReadVerifiedAt, at odd offsets, and compares.
func strictAll(t *testing.T, c *cache.Cache, obj manifest.Object, want []byte) {
	t.Helper()
	for _, step := range []int{1 << 20, 100_003} {
		buf := make([]byte, step)
		for off := 0; off < len(want); off += step {
			n, err := c.ReadVerifiedAt(t.Context(), obj, buf, int64(off))
			if err != nil && (err != io.EOF || off+n != len(want)) {
				t.Fatalf("ReadVerifiedAt(%s, %d): got %d, %v", obj.Ref, off, n, err)
			}
			if !bytes.Equal(buf[:n], want[off:min(off+step, len(want))]) {
				t.Fatalf("ReadVerifiedAt(%s, %d): %d bytes differ", obj.Ref, off, n)
			}
		}
	}
}

func strictErr(t *testing.T, c *cache.Cache, obj manifest.Object, off int64, kind manifest.Kind) {
	t.Helper()
	n, err := c.ReadVerifiedAt(t.Context(), obj, make([]byte, 100), off)
	if err == nil || manifest.KindOf(err) != kind || n != 0 {
		t.Fatalf("ReadVerifiedAt(%s): got %d, %v (%v), want 0 and %v", obj.Ref, n, err, manifest.KindOf(err), kind)
	}
}

// TestStrictServesNoWrongByte: a flip far from what is read. Under fill the right
// bytes before it are served; under strict none is.
func TestStrictServesNoWrongByte(t *testing.T) {
	for _, size := range []int{5000, 300_000, 5 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(3, size)
		obj := s.put(ref(1), data)
		s.vouch(obj.Ref, sumsOf(data)[2:3])
		s.hook(nil, flipping(int64(size)-1))
		strictErr(t, c, obj, 0, manifest.KindCorrupt)
		strictErr(t, c, obj, 0, manifest.KindCorrupt)
		time.Sleep(100 * time.Millisecond) // RetryAfter
		s.hook(nil, nil)
		s.forget()
		strictAll(t, c, obj, data)
		if !c.Inspect(obj).Verified {
			eventually(t, "verified", func() bool { return c.Inspect(obj).Verified })
		}
		if _, n := s.asked(); n > 2*int64(size) {
			t.Errorf("%d bytes: asked for %d, want them once", size, n)
		}
	}
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(3, 5<<20)
	obj := s.put(ref(1), data)
	s.vouch(obj.Ref, sumsOf(data)[2:3])
	s.hook(nil, flipping(5<<20-1))
	if n, err := c.ReadAt(t.Context(), obj, make([]byte, 100), 0); n != 100 || err != nil {
		t.Errorf("under fill: got %d, %v, want the bytes before the flip", n, err)
	}
}

// TestStrictNeedsASum: what no checksum is known of is refused, and stays
// readable under fill.
func TestStrictNeedsASum(t *testing.T) {
	for _, size := range []int{5000, 300_000, 5 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(3, size)
		obj := s.put(ref(1), data)
		strictErr(t, c, obj, 0, manifest.KindUnsupported)
		readAll(t, c, obj, data, 1<<20)
		strictErr(t, c, obj, 0, manifest.KindUnsupported)
		s.vouch(obj.Ref, sumsOf(data)[:1])
		strictAll(t, c, obj, data)
	}
}

// TestStrictChecksWhatFillKept: content that was cached without a check of the
// whole is checked before it is served, from the disk.
func TestStrictChecksWhatFillKept(t *testing.T) {
	for _, size := range []int{5000, 300_000, 5 << 20} {
		for _, wrong := range []bool{false, true} {
			dir, s := t.TempDir(), newSource()
			data := content(3, size)
			obj := s.put(ref(1), data)
			if wrong {
				s.hook(nil, flipping(int64(size)/2))
			}
			c, err := cache.Open(options(dir, s))
			noErr(t, err)
			noErr(t, c.Warm(t.Context(), obj)) // no sum is known yet
			noErr(t, c.Close())
			s.hook(nil, nil)
			s.vouch(obj.Ref, sumsOf(data)[1:2])
			s.forget()
			c = open(t, options(dir, s))
			if wrong {
				noWrongByte(t, c, obj, data)
				time.Sleep(100 * time.Millisecond) // RetryAfter
			}
			strictAll(t, c, obj, data)
			if n, _ := s.asked(); (n > 0) != wrong && size <= 1<<20 {
				t.Errorf("%d bytes, wrong=%v: %d requests", size, wrong, n)
			}
		}
	}
}

// noWrongByte reads around the middle: right bytes, or KindCorrupt.
func noWrongByte(t *testing.T, c *cache.Cache, obj manifest.Object, data []byte) {
	t.Helper()
	buf := make([]byte, 100)
	at := obj.Size/2 - 50
	n, err := c.ReadVerifiedAt(t.Context(), obj, buf, at)
	if !bytes.Equal(buf[:n], data[at:at+int64(n)]) {
		t.Fatalf("%d bytes: a wrong byte was served", obj.Size)
	}
	if err != nil && manifest.KindOf(err) != manifest.KindCorrupt {
		t.Errorf("%d bytes: got %v, want KindCorrupt", obj.Size, err)
	}
}

// TestStrictBesideFill: readers of both kinds, a source that flips a byte in
// every third response: strict ones get right bytes or an error, always.
func TestStrictBesideFill(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.RetryAfter = time.Millisecond
	o.Size = 12 << 20 // less than all: evicted all the time
	c := open(t, o)
	var objs []manifest.Object
	var datas [][]byte
	for i, size := range []int{3000, 200_000, 2 << 20, 5<<20 + 77, 6 << 20} {
		datas = append(datas, content(uint64(i), size))
		objs = append(objs, s.put(ref(i), datas[i]))
		s.sums[objs[i].Ref] = sumsOf(datas[i])[i%4 : i%4+1]
	}
	var mu sync.Mutex
	n := 0
	s.hook(nil, func(obj manifest.Object, off int64, r io.Reader) io.Reader {
		mu.Lock()
		n++
		bad := n%3 == 0
		mu.Unlock()
		if bad {
			return flipping(off+1)(obj, off, r)
		}
		return r
	})
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			buf := make([]byte, 300_000)
			for range 150 {
				i := rnd.IntN(len(objs))
				off := rnd.Int64N(objs[i].Size)
				if w%2 == 0 {
					_, _ = c.ReadAt(t.Context(), objs[i], buf, off)
					continue
				}
				m, err := c.ReadVerifiedAt(t.Context(), objs[i], buf, off)
				if !bytes.Equal(buf[:m], datas[i][off:off+int64(m)]) {
					t.Errorf("object %d at %d: wrong bytes served, error %v", i, off, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.hook(nil, nil)
	time.Sleep(10 * time.Millisecond)
	for i := range objs {
		strictAll(t, c, objs[i], datas[i])
	}
}

// TestStrictTellsOfWhatFillServed: the pass that finds an object wrong tells so
// once, and only if some of it may have been served.
func TestStrictTellsOfWhatFillServed(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	var told atomic.Int64
	o.OnMismatch = func(context.Context, manifest.Object, error) { told.Add(1) }
	c := open(t, o)
	data := content(3, 5<<20)
	served, file := s.put(ref(1), data), s.putFile("file:///data/x", data)
	s.vouch(served.Ref, sumsOf(data)[2:3])
	s.hook(nil, flipping(2<<20))
	if n, err := c.ReadAt(t.Context(), served, make([]byte, 100), 2<<20); n != 100 || err != nil {
		t.Fatalf("under fill: got %d, %v", n, err)
	}
	for range 3 {
		strictErr(t, c, served, 0, manifest.KindCorrupt)
		readErr(t, c, file, manifest.KindChanged)
		time.Sleep(2 * o.RetryAfter)
	}
	if got := told.Load(); got != 1 {
		t.Errorf("told %d times, want once, of the object that was served", got)
	}
}
