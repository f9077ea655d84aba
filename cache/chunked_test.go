package cache_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// putChunked is put for an object whose chunks are recorded.
func (s *source) putChunked(ref string, data []byte, size int64) manifest.Object {
	obj := s.put(ref, data)
	obj.Chunks = chunksOf(data, size)
	return obj
}

func chunksOf(data []byte, size int64) manifest.Chunks {
	h := chunks.NewHasher(size)
	_, _ = h.Write(data)
	return h.Chunks()
}

// flipAt makes the source flip the byte at off, in its first times answers that
// hold it.
func (s *source) flipAt(off int64, times int) {
	var done atomic.Int64
	s.hook(nil, func(_ manifest.Object, from int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		if from <= off && off < from+int64(len(b)) && done.Add(1) <= int64(times) {
			b[off-from] ^= 1
		}
		return bytes.NewReader(b)
	})
}

const always = 1 << 30

func TestChunkedReadBack(t *testing.T) {
	s, dir := newSource(), t.TempDir()
	c, err := cache.Open(options(dir, s))
	noErr(t, err)
	var objs []manifest.Object
	for i, n := range []int{1, 70_000, cache.BlockSize, 1 << 20, 1<<20 + 1, 9<<20 + 12345} {
		for _, size := range []int64{64 << 10, 256 << 10, 8 << 20} {
			obj := s.putChunked(ref(len(objs)), content(uint64(i), n), size)
			if len(objs)%2 == 0 { // a file: without its chunks it would be verified as a whole first
				obj.Digest = md5Of(s.data[obj.Ref])
				obj.Pin = manifest.Pin{Kind: manifest.PinMD5, Value: obj.Digest}
			}
			objs = append(objs, obj)
		}
	}
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 100_000)
		eventually(t, "all of "+obj.Ref+" here and verified", func() bool {
			in := c.Inspect(obj)
			return in.Cached == obj.Size && in.Verified
		})
	}
	if s.stats != 0 {
		t.Errorf("the source was asked %d times for a checksum, want never", s.stats)
	}
	noErr(t, c.Close())
	c = open(t, options(dir, s))
	s.forget()
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 77_777)
		if got := check(t, c, obj); got != (cache.LocalCheck{Cached: obj.Size, Complete: true, Check: "chunks"}) {
			t.Errorf("%s: got %+v", obj.Ref, got)
		}
	}
	if n, _ := s.asked(); n != 0 {
		t.Errorf("requests for what is here: got %d, want 0", n)
	}
}

// endless is a source of one object of any size, each 8 MiB of it the same.
type endless struct {
	piece []byte
	asked atomic.Int64 // bytes
}

func (e *endless) Open(_ context.Context, _ manifest.Object, off, n int64) (io.ReadCloser, cache.Described, error) {
	e.asked.Add(n)
	at := off % int64(len(e.piece))
	again := io.MultiReader(bytes.NewReader(e.piece[at:]), bytes.NewReader(e.piece), bytes.NewReader(e.piece))
	return io.NopCloser(io.LimitReader(again, n)), cache.Described{Size: manifest.SizeUnknown}, nil
}

func (e *endless) Stat(context.Context, manifest.Object) (cache.Described, error) {
	return cache.Described{}, errors.New("nobody needs to ask")
}

// TestOneByteOfATebibyte costs one chunk, verified or not.
func TestOneByteOfATebibyte(t *testing.T) {
	e := &endless{piece: content(1, 8<<20)}
	d := chunks.Digest(e.piece)
	obj := manifest.Object{Ref: "s3://b/huge", Digest: "x", Size: 1 << 40, Chunks: chunks.Of(8<<20, strings.Repeat(string(d[:]), 1<<17))}
	c := open(t, options(t.TempDir(), e))
	b := make([]byte, 1)
	for i, off := range []int64{1<<40 - 1, 1 << 39, 12345678, 9 << 20} {
		read := c.ReadAt
		if i%2 == 1 {
			read = c.ReadVerifiedAt
		}
		if n, err := read(t.Context(), obj, b, off); n != 1 || err != nil || b[0] != e.piece[off%(8<<20)] {
			t.Errorf("the byte at %d: got %d, %v", off, n, err)
		}
		eventually(t, "the chunk on disk", func() bool { return c.Inspect(obj).Cached >= min(int64(i+1), 3)*8<<20 })
	}
	if got := e.asked.Load(); got != 3*8<<20 { // the last byte lies in the chunk before it
		t.Errorf("got %d bytes asked for, want 3 chunks", got)
	}
	if in := c.Inspect(obj); in.Cached != 3*8<<20 || in.Verified {
		t.Errorf("got %+v, want 3 chunks here", in)
	}
}

// TestWrongChunk: it is fetched once more, then its reader gets an error that
// says all; other chunks are read as ever, and nothing of it is kept.
func TestWrongChunk(t *testing.T) {
	for _, n := range []int{1000, 300_000, 5<<20 + 4321} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(7, n)
		obj := s.putChunked(ref(1), data, 64<<10)
		at := int64(n / 2)
		s.flipAt(at, always)
		piece := at >> 16
		bad := bytes.Clone(data[piece<<16 : min((piece+1)<<16, int64(n))])
		bad[at-piece<<16] ^= 1
		found, want := chunks.Digest(bad), chunks.Digest(data[piece<<16:min((piece+1)<<16, int64(n))])
		buf := make([]byte, 1)
		_, err := c.ReadAt(t.Context(), obj, buf, at)
		for _, part := range []string{obj.Ref, "chunk ", hex.EncodeToString(want[:]), hex.EncodeToString(found[:])} {
			if manifest.KindOf(err) != manifest.KindCorrupt || !strings.Contains(err.Error(), part) {
				t.Fatalf("%d bytes: got %v, want KindCorrupt naming %s", n, err, part)
			}
		}
		if asked, _ := s.asked(); asked != 2 {
			t.Errorf("%d bytes: got %d requests, want a second one", n, asked)
		}
		if _, err := c.ReadVerifiedAt(t.Context(), obj, buf, at); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("%d bytes: verified: got %v, want KindCorrupt", n, err)
		}
		if in := c.Inspect(obj); in.LastError == nil || in.Cached != 0 {
			t.Errorf("%d bytes: got %+v, want the error and nothing kept", n, in)
		}
		if n > 1<<20 {
			wantOthers(t, c, obj, data, piece)
		}
		s.hook(nil, nil)
		time.Sleep(60 * time.Millisecond)
		readAll(t, c, obj, data, 1<<20)
		eventually(t, "no error any more", func() bool { return c.Inspect(obj).LastError == nil })
	}
}

// wantOthers reads all chunks but one.
func wantOthers(t *testing.T, c *cache.Cache, obj manifest.Object, data []byte, but int64) {
	t.Helper()
	for off := int64(0); off < obj.Size; off += 64 << 10 {
		if off>>16 == but {
			continue
		}
		p := make([]byte, min(64<<10, obj.Size-off))
		if _, err := c.ReadAt(t.Context(), obj, p, off); err != nil || !bytes.Equal(p, data[off:off+int64(len(p))]) {
			t.Errorf("chunk %d: %v, or other bytes", off>>16, err)
		}
	}
	if in := c.Inspect(obj); in.Cached > obj.Size-64<<10 {
		t.Errorf("%d bytes kept, one chunk of them wrong", in.Cached)
	}
}

// TestChunkWrongOnce: the second fetch is right, and nobody notices the first.
func TestChunkWrongOnce(t *testing.T) {
	for _, n := range []int{1000, 300_000, 5<<20 + 4321} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(7, n)
		obj := s.putChunked(ref(1), data, 64<<10)
		s.flipAt(int64(n-1), 1)
		readAll(t, c, obj, data, 1<<20)
		if in := c.Inspect(obj); in.LastError != nil {
			t.Errorf("%d bytes: got %v", n, in.LastError)
		}
		if st := c.Stats(); st.Mismatches != 0 || st.Failed != 0 {
			t.Errorf("%d bytes: got %+v, want no failure", n, st)
		}
	}
}

// TestNothingBeforeItsChunk: bytes that came wait until their chunk is checked.
func TestNothingBeforeItsChunk(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(7, 4<<20)
	obj := s.putChunked(ref(1), data, 1<<20)
	came, goOn := make(chan struct{}, 1), make(chan struct{})
	s.hook(nil, func(_ manifest.Object, off int64, r io.Reader) io.Reader {
		half := io.LimitReader(r, 1<<20-1)
		return io.MultiReader(half, readerFunc(func(p []byte) (int, error) {
			select {
			case came <- struct{}{}:
			default: // enough came
			}
			<-goOn
			return r.Read(p)
		}))
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		n, err := c.ReadAt(ctx, obj, make([]byte, 10), 0)
		if n != 0 || manifest.KindOf(err) != manifest.KindCanceled {
			t.Errorf("before the chunk is whole: got %d bytes, %v", n, err)
		}
	})
	<-came
	time.Sleep(20 * time.Millisecond) // a reader who is served too early comes back in it
	cancel()
	wg.Wait()
	close(goOn)
	readAll(t, c, obj, data, 300_000)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestLostDigests: an object that has only the ID of its chunks is refused, and
// does not take the digests from those who have them.
func TestLostDigests(t *testing.T) {
	for _, n := range []int{1000, 300_000, 3 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(7, n)
		obj := s.putChunked(ref(1), data, 64<<10)
		lost := obj
		lost.Chunks.Digests = ""
		for name, err := range map[string]error{
			"Drop": c.Drop(t.Context(), lost), "Warm": c.Warm(t.Context(), lost), "Keep": c.Keep(t.Context(), lost, true),
			"CheckLocal": second(c.CheckLocal(t.Context(), lost)), "ReadAt": second(c.ReadAt(t.Context(), lost, make([]byte, 1), 0)),
			"ReadVerifiedAt": second(c.ReadVerifiedAt(t.Context(), lost, make([]byte, 1), 0)),
		} {
			if manifest.KindOf(err) != manifest.KindCorrupt {
				t.Errorf("%d bytes: %s: got %v, want KindCorrupt", n, name, err)
			}
		}
		c.Inspect(lost)
		s.flipAt(int64(n-1), always)
		if _, err := c.ReadAt(t.Context(), obj, make([]byte, 1), int64(n-1)); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("%d bytes: got %v, want KindCorrupt", n, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestChunksAfterDrop: what comes back after Drop is checked as before.
func TestChunksAfterDrop(t *testing.T) {
	for _, n := range []int{1000, 300_000, 3 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(7, n)
		obj := s.putChunked(ref(1), data, 64<<10)
		noErr(t, c.Warm(t.Context(), obj))
		noErr(t, c.Drop(t.Context(), obj))
		s.flipAt(int64(n-1), always)
		if _, err := c.ReadAt(t.Context(), obj, make([]byte, 1), int64(n-1)); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("%d bytes: got %v, want KindCorrupt", n, err)
		}
		if err := c.Warm(t.Context(), obj); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("%d bytes: warm: got %v, want KindCorrupt", n, err)
		}
	}
}

// TestRottenChunk: a block that rots on disk brings its whole chunk back.
func TestRottenChunk(t *testing.T) {
	s, dir := newSource(), t.TempDir()
	c, err := cache.Open(options(dir, s))
	noErr(t, err)
	data := content(7, 4<<20)
	obj := s.putChunked(ref(1), data, 1<<20)
	noErr(t, c.Warm(t.Context(), obj))
	noErr(t, c.Close())
	for _, f := range files(t, dir, "objects/*/*") {
		flip(t, f, 1<<20+5, 1<<20+6, 1)
	}
	c = open(t, options(dir, s))
	s.forget()
	if got := check(t, c, obj); got.OK() || got.Expected == "" {
		t.Errorf("got %+v, want damage", got)
	}
	readAll(t, c, obj, data, 100_000)
	if n, bytes := s.asked(); n != 1 || bytes != 1<<20 {
		t.Errorf("got %d requests for %d bytes, want one for the chunk", n, bytes)
	}
	eventually(t, "all here again", func() bool { in := c.Inspect(obj); return in.Cached == obj.Size && in.Verified })
	// What was reserved for the chunk is given back with the next write to the index.
	eventually(t, "no block counted twice", func() bool { return c.Stats().Used == obj.Size })
}

// TestCheckLocalFindsWrongChunks: blocks that are as they were written, but are not
// the chunk.
func TestCheckLocalFindsWrongChunks(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	var told atomic.Int64
	o.OnMismatch = func(_ context.Context, obj manifest.Object, err error) { told.Add(1) }
	c := open(t, o)
	data := content(7, 3<<20)
	obj := s.putChunked(ref(1), data, 128<<10)
	noErr(t, c.Warm(t.Context(), obj))
	noErr(t, cache.Poison(c, obj, 17))
	want, found := obj.Chunks.Digests[8*32:9*32], ""
	l := check(t, c, obj)
	if found = l.Found; l.OK() || l.Check != "chunks" || l.Expected != hex.EncodeToString([]byte(want)) || len(found) != 64 {
		t.Errorf("got %+v, want chunk 8 to be wrong", l)
	}
	if told.Load() != 1 {
		t.Errorf("told of it %d times, want once", told.Load())
	}
	if l := check(t, c, obj); !l.OK() || l.Complete || l.Cached != obj.Size-128<<10 {
		t.Errorf("a second check: got %+v, want the chunk gone", l)
	}
	time.Sleep(60 * time.Millisecond)
	readAll(t, c, obj, data, 1<<20)
}

// TestChunkLargerThanMemory: the smallest memory holds the largest chunk.
func TestChunkLargerThanMemory(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 1
	c := open(t, o)
	data := content(7, 20<<20)
	obj := s.putChunked(ref(1), data, 8<<20)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { readAll(t, c, obj, data, 1<<20) })
	}
	wg.Wait()
	if st := c.Stats(); st.MemoryPeak > st.MemoryLimit {
		t.Errorf("got a peak of %d, limit %d", st.MemoryPeak, st.MemoryLimit)
	}
}
