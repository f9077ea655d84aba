package cache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

func TestOneFetchForAll(t *testing.T) {
	for _, size := range []int{1000, 200_000, 8 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(1, size)
		obj := s.put(ref(1), data)
		gate := make(chan struct{})
		s.hook(func(context.Context, manifest.Object, int64, int64) error { <-gate; return nil }, nil)
		var started, wg sync.WaitGroup
		off := size / 2
		for range 100 {
			started.Add(1)
			wg.Go(func() {
				started.Done()
				buf := make([]byte, 100)
				if n, err := c.ReadAt(t.Context(), obj, buf, int64(off)); err != nil || !bytes.Equal(buf[:n], data[off:off+100]) {
					t.Errorf("ReadAt: got %d, %v", n, err)
				}
			})
		}
		started.Wait()
		time.Sleep(20 * time.Millisecond)
		close(gate)
		wg.Wait()
		if n, _ := s.asked(); n != 1 {
			t.Errorf("requests of 100 readers of one block of %d bytes: got %d, want 1", size, n)
		}
	}
}

func TestReaderLeavesTheFetch(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 100_000)
	obj := s.put(ref(1), data)
	gate, begun := make(chan struct{}), make(chan struct{})
	s.hook(func(ctx context.Context, _ manifest.Object, _, _ int64) error {
		close(begun)
		return opened(ctx, gate)
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := c.ReadAt(ctx, obj, make([]byte, 10), 0); manifest.KindOf(err) != manifest.KindCanceled {
		t.Fatalf("cancelled reader: got %v, want KindCanceled", err)
	}
	close(gate)
	readAll(t, c, obj, data, 64<<10)
	if n, _ := s.asked(); n != 1 {
		t.Errorf("requests: got %d, want the one of the reader that left", n)
	}
}

func TestSequentialIsParallel(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 100<<20)
	obj := s.put(ref(1), data)
	s.hook(func(context.Context, manifest.Object, int64, int64) error {
		time.Sleep(5 * time.Millisecond)
		return nil
	}, nil)
	readAll(t, c, obj, data, 128<<10)
	if got := s.most.Load(); got < 4 {
		t.Errorf("most requests in flight for one sequential reader: got %d, want at least 4", got)
	}
	if n, b := s.asked(); b != obj.Size {
		t.Errorf("bytes asked for: got %d in %d requests, want each of the %d once", b, n, obj.Size)
	}
}

func TestRandomAsksForLittle(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 64<<20)
	obj := s.put(ref(1), data)
	rnd := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 4096)
	const reads = 50
	for range reads {
		off := 4096 + rnd.Int64N(obj.Size/4096-2)*4096
		if n, err := c.ReadAt(t.Context(), obj, buf, off); err != nil || !bytes.Equal(buf[:n], data[off:off+4096]) {
			t.Fatalf("ReadAt(%d): got %d, %v", off, n, err)
		}
	}
	if _, b := s.asked(); b > reads*cache.BlockSize {
		t.Errorf("bytes asked for by %d random reads: got %d, want at most a block each", reads, b)
	}
}

func TestAnswersWhileTheRestArrives(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 8<<20)
	obj := s.put(ref(1), data)
	gate := make(chan struct{})
	s.hook(nil, func(_ manifest.Object, off int64, r io.Reader) io.Reader {
		if off != 0 {
			return r
		}
		return io.MultiReader(io.LimitReader(r, 256<<10), &gated{r: r, gate: gate})
	})
	buf := make([]byte, 100_000)
	if n, err := c.ReadAt(t.Context(), obj, buf, 0); err != nil || !bytes.Equal(buf[:n], data[:100_000]) {
		t.Errorf("ReadAt before the rest arrived: got %d, %v", n, err)
	}
	close(gate)
	readAll(t, c, obj, data, 1<<20)
}

type gated struct {
	r    io.Reader
	gate chan struct{}
}

func (g *gated) Read(p []byte) (int, error) {
	<-g.gate
	return g.r.Read(p)
}

func TestUnknownSizeIsAskedOnce(t *testing.T) {
	s := newSource()
	dir := t.TempDir()
	c, err := cache.Open(options(dir, s))
	if err != nil {
		t.Fatal(err)
	}
	data := content(1, 5000)
	obj := s.put(ref(1), data)
	obj.Size = manifest.SizeUnknown
	for range 3 {
		if got, err := c.Size(t.Context(), obj); got != 5000 || err != nil {
			t.Errorf("Size: got %d, %v, want 5000", got, err)
		}
	}
	readAll(t, c, obj, data, 1000)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, options(dir, s))
	readAll(t, c, obj, data, 1000)
	if s.stats != 1 {
		t.Errorf("times asked for the size: got %d, want 1", s.stats)
	}
}

func TestSourceErrors(t *testing.T) {
	cut := func(_ manifest.Object, _ int64, r io.Reader) io.Reader { return io.LimitReader(r, 60) }
	long := func(_ manifest.Object, _ int64, r io.Reader) io.Reader {
		return io.MultiReader(r, bytes.NewReader([]byte("more")))
	}
	fail := func(err error) func(context.Context, manifest.Object, int64, int64) error {
		return func(context.Context, manifest.Object, int64, int64) error { return err }
	}
	flip := func(_ manifest.Object, off int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		if off == 0 {
			b[50] ^= 1
		}
		return bytes.NewReader(b)
	}
	for _, tc := range []struct {
		name   string
		before func(context.Context, manifest.Object, int64, int64) error
		body   func(manifest.Object, int64, io.Reader) io.Reader
		grow   bool
		large  manifest.Kind // what the first byte of a large object does; 0: it is served
		want   manifest.Kind
	}{
		{name: "cut", body: cut, want: manifest.KindUnreachable, large: manifest.KindUnreachable},
		{name: "long", body: long, want: manifest.KindCorrupt},
		{name: "flipped", body: flip, want: manifest.KindCorrupt},
		{name: "size differs", grow: true, want: manifest.KindCorrupt, large: manifest.KindCorrupt},
		{name: "gone", before: fail(&manifest.Error{Kind: manifest.KindGone}), want: manifest.KindGone, large: manifest.KindGone},
		{name: "denied", before: fail(&manifest.Error{Kind: manifest.KindDenied}), want: manifest.KindDenied, large: manifest.KindDenied},
		{name: "untyped", before: fail(errors.New("?")), want: manifest.KindOther, large: manifest.KindOther},
	} {
		for _, size := range []int{1000, 500_000, 3 << 20} {
			s := newSource()
			c := open(t, options(t.TempDir(), s))
			data := content(1, size)
			obj := s.put(ref(1), data)
			s.vouch(obj.Ref, []manifest.Sum{md5Sum(data)})
			want := tc.want
			if size > 1<<20 {
				want = tc.large
			}
			if tc.grow {
				obj.Size++
			}
			s.hook(tc.before, tc.body)
			if want != 0 || tc.name == "untyped" {
				readErr(t, c, obj, want)
				if got := c.Inspect(obj); got.Cached != 0 || got.LastError == nil {
					t.Errorf("%s, %d bytes: got %+v, want nothing kept and an error", tc.name, size, got)
				}
				if used := c.Stats().Used; used != 0 {
					t.Errorf("%s, %d bytes: used %d, want 0", tc.name, size, used)
				}
			}
			if tc.grow {
				continue
			}
			s.hook(nil, nil)
			time.Sleep(60 * time.Millisecond) // RetryAfter
			readAll(t, c, obj, data, 100_000)
			if err := c.Inspect(obj).LastError; err != nil && want != 0 {
				t.Errorf("%s, %d bytes: error after a good read: %v", tc.name, size, err)
			}
		}
	}
}

func TestErrorIsRemembered(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.RetryAfter = time.Hour
	c := open(t, o)
	obj := s.put(ref(1), content(1, 1000))
	delete(s.data, obj.Ref)
	for range 1000 {
		readErr(t, c, obj, manifest.KindGone)
	}
	if n, _ := s.asked(); n != 1 {
		t.Errorf("requests for an object that is gone: got %d, want 1", n)
	}
}

func TestCachedBlocksStay(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 4<<20)
	obj := s.put(ref(1), data)
	buf := make([]byte, cache.BlockSize)
	const off = 2 << 20
	if _, err := c.ReadAt(t.Context(), obj, buf, off); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the block on disk", func() bool { return c.Inspect(obj).Cached > 0 })
	delete(s.data, obj.Ref)
	readErr(t, c, obj, manifest.KindGone)
	if n, err := c.ReadAt(t.Context(), obj, buf, off); err != nil || !bytes.Equal(buf[:n], data[off:off+n]) {
		t.Errorf("cached block of an object that is gone: got %d, %v", n, err)
	}
}

func TestStalls(t *testing.T) {
	for name, hook := range map[string]func(s *source){
		"before the response": func(s *source) {
			s.hook(func(ctx context.Context, _ manifest.Object, _, _ int64) error { <-ctx.Done(); return ctx.Err() }, nil)
		},
		"in the middle": func(s *source) {
			var ctx context.Context
			s.hook(func(c context.Context, _ manifest.Object, _, _ int64) error { ctx = c; return nil },
				func(_ manifest.Object, _ int64, r io.Reader) io.Reader {
					return io.MultiReader(io.LimitReader(r, 100), &hangs{ctx})
				})
		},
	} {
		for _, local := range []bool{false, true} {
			s := newSource()
			o := options(t.TempDir(), s)
			o.StallTimeout = 50 * time.Millisecond
			c := open(t, o)
			obj := s.put(ref(1), content(1, 2<<20))
			if local {
				obj = s.putFile("file:///x", content(1, 2<<20))
			}
			hook(s)
			t.Log(name, local)
			readErr(t, c, obj, manifest.KindTimeout)
		}
	}
}

type hangs struct{ ctx context.Context }

func (h *hangs) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func TestMemoryBudget(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 32 << 20
	c := open(t, o)
	data := content(1, 64<<20) // every object has the same bytes
	var wg sync.WaitGroup
	for i := range 50 {
		obj := s.put(ref(i), data)
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for off := 0; off < 4<<20; off += len(buf) {
				if n, err := c.ReadAt(t.Context(), obj, buf, int64(off)); err != nil || !bytes.Equal(buf[:n], data[off:off+n]) {
					t.Errorf("ReadAt(%s, %d): got %d, %v", obj.Ref, off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if st := c.Stats(); st.MemoryPeak > o.MemoryBytes || st.MemoryPeak == 0 {
		t.Errorf("memory of buffers: got a peak of %d, want at most %d", st.MemoryPeak, o.MemoryBytes)
	}
}
