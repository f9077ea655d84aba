package cache_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// prefetchSizes are those of small objects, of whole ones, and of a large one.
var prefetchSizes = []int{1, 8 << 10, cache.BlockSize - 3, cache.BlockSize, cache.BlockSize + 1, 1 << 20, 3 << 20}

// TestPrefetch: each object is fetched once, is right, and is there for a reader
// when no source is.
func TestPrefetch(t *testing.T) {
	for _, size := range prefetchSizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newSource()
			c := open(t, options(t.TempDir(), s))
			want := content(uint64(size), size)
			obj := s.put(ref(size), want)
			if got := c.Prefetch(obj, 8<<20); got != cache.AheadStarted {
				t.Fatalf("Prefetch: got %v", got)
			}
			eventually(t, "on disk", func() bool { return c.Inspect(obj).Cached == int64(size) })
			s.hook(func(context.Context, manifest.Object, int64, int64) error { return io.ErrUnexpectedEOF }, nil)
			readAll(t, c, obj, want, 64<<10)
			if got := c.Prefetch(obj, 8<<20); got != cache.AheadHere {
				t.Errorf("Prefetch again: got %v", got)
			}
			if n, _ := s.asked(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestPrefetchUnderWay: a second one, and readers, join the fetch that is under way.
func TestPrefetchUnderWay(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	want := content(1, 8<<10)
	obj := s.put(ref(1), want)
	let := make(chan struct{})
	s.hook(func(context.Context, manifest.Object, int64, int64) error { <-let; return nil }, nil)
	if got := c.Prefetch(obj, 1<<20); got != cache.AheadStarted {
		t.Fatalf("Prefetch: got %v", got)
	}
	if got := c.Prefetch(obj, 1<<20); got != cache.AheadHere {
		t.Errorf("Prefetch of what is under way: got %v", got)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { readAll(t, c, obj, want, 5000) })
	}
	close(let)
	wg.Wait()
	if n, _ := s.asked(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestPrefetchRaces: readers, warmers and prefetches of the same objects ask for
// each once.
func TestPrefetchRaces(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	objs, want := make([]manifest.Object, 300), make([][]byte, 300)
	for i := range objs {
		want[i] = content(uint64(i), 1+i*37%20_000)
		objs[i] = s.put(ref(i), want[i])
	}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i, obj := range objs {
				switch w % 3 {
				case 0:
					c.Prefetch(obj, 1<<20)
				case 1:
					readAll(t, c, obj, want[i], 6000)
				default:
					if err := c.Warm(t.Context(), obj); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n, _ := s.asked(); n != len(objs) {
		t.Errorf("%d requests for %d objects", n, len(objs))
	}
	if stats := c.Stats(); stats.Prefetched > int64(len(objs)) || stats.Requests != int64(len(objs)) {
		t.Errorf("%d requests, %d of them prefetches", stats.Requests, stats.Prefetched)
	}
}

// TestPrefetchLeavesRoom: prefetches that nothing answers take a part of the memory
// and of the requests, and readers of others go on.
func TestPrefetchLeavesRoom(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 8 << 20
	c := open(t, o)
	let := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(let) }) }
	defer free()
	s.hook(func(ctx context.Context, obj manifest.Object, _, _ int64) error {
		if obj.Ref != ref(1000) {
			<-let
		}
		return nil
	}, nil)
	started := 0
	for i := range 100 {
		switch c.Prefetch(s.put(ref(i), content(uint64(i), 700<<10)), 1<<20) {
		case cache.AheadStarted:
			started++
		case cache.AheadHere:
			t.Fatal("nothing is here")
		}
	}
	if started == 0 || started > 6 {
		t.Errorf("%d objects of 1 MiB of memory each were begun with 8 MiB", started)
	}
	want := content(7, 500<<10)
	readAll(t, c, s.put(ref(1000), want), want, 100_000)
	free()
	eventually(t, "room again", func() bool {
		return c.Prefetch(s.put(ref(2000), content(1, 100)), 1<<20) != cache.AheadFull
	})
}

// TestPrefetchOfWhatFails: a reader gets the error without another request, and
// another prefetch asks nobody.
func TestPrefetchOfWhatFails(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.RetryAfter = time.Minute
	c := open(t, o)
	obj := manifest.Object{Ref: ref(1), Pin: manifest.Pin{Kind: manifest.PinVersion, Value: "1"}, Digest: "d", Size: 100}
	if got := c.Prefetch(obj, 1<<20); got != cache.AheadStarted {
		t.Fatalf("Prefetch: got %v", got)
	}
	eventually(t, "failed", func() bool { return c.Inspect(obj).LastError != nil })
	readErr(t, c, obj, manifest.KindGone)
	if got := c.Prefetch(obj, 1<<20); got != cache.AheadHere {
		t.Errorf("Prefetch again: got %v", got)
	}
	if n, _ := s.asked(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestPrefetchClosed: the end of the cache ends what was begun, and what is there
// afterwards is right.
func TestPrefetchClosed(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	c, err := cache.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	objs, want := make([]manifest.Object, 64), make([][]byte, 64)
	for i := range objs {
		want[i] = content(uint64(i), 8<<10+i)
		objs[i] = s.put(ref(i), want[i])
	}
	s.hook(func(ctx context.Context, obj manifest.Object, _, _ int64) error {
		if obj.Size%2 == 0 {
			<-ctx.Done()
		}
		return ctx.Err()
	}, nil)
	for _, obj := range objs {
		c.Prefetch(obj, 1<<20)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := c.Prefetch(objs[0], 1<<20); got != cache.AheadHere {
		t.Errorf("Prefetch after Close: got %v", got)
	}
	s.hook(nil, nil)
	c = open(t, o)
	for i, obj := range objs {
		readAll(t, c, obj, want[i], 64<<10)
	}
}
