package cache_test

import (
	"context"
	"os"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// refusing is a source that must not be asked.
func refusing(t *testing.T) *source {
	s := newSource()
	s.before = func(_ context.Context, obj manifest.Object, _, _ int64) error {
		t.Errorf("the source was asked for %s", obj.Ref)
		return &manifest.Error{Kind: manifest.KindUnreachable}
	}
	return s
}

func check(t *testing.T, c *cache.Cache, obj manifest.Object) cache.LocalCheck {
	t.Helper()
	l, err := c.CheckLocal(t.Context(), obj)
	if err != nil {
		t.Fatalf("CheckLocal(%s): %v", obj.Ref, err)
	}
	return l
}

// warmed fills a cache in dir with files (their manifest records an MD5) and S3
// objects of each size and closes it.
func warmed(t *testing.T, dir string, s *source, sizes ...int) (objs []manifest.Object) {
	t.Helper()
	c, err := cache.Open(options(dir, s))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		objs = append(objs, s.putFile("file:///d/"+ref(i)[5:], content(uint64(i), n)), s.put(ref(i), content(uint64(i), n)))
	}
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
		if err := c.Warm(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return objs
}

func TestCheckLocalFindsAllRight(t *testing.T) {
	dir := t.TempDir()
	objs := warmed(t, dir, newSource(), 1, 10_000, cache.BlockSize, cache.BlockSize+1, 300_000, 3<<20+5)
	s := refusing(t)
	c := open(t, options(dir, s))
	for _, obj := range objs {
		want := cache.LocalCheck{Cached: obj.Size, Complete: true, Check: "crc32c"}
		if obj.Pin.Kind == manifest.PinMD5 {
			want.Check = "md5"
		}
		if got := check(t, c, obj); got != want || !got.OK() {
			t.Errorf("%s: got %+v, want %+v", obj.Ref, got, want)
		}
	}
	if s.stats != 0 {
		t.Errorf("the source was asked %d times, want never", s.stats)
	}
	never := s.put("s3://b/never", content(1, 3<<20))
	unknown := manifest.Object{Ref: "s3://b/unknown", Size: manifest.SizeUnknown}
	for _, obj := range []manifest.Object{never, unknown} {
		if got := check(t, c, obj); got != (cache.LocalCheck{}) {
			t.Errorf("%s: got %+v, want nothing", obj.Ref, got)
		}
	}
}

func TestCheckLocalFindsFlippedBits(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, name string){
		"flipped": func(t *testing.T, name string) { flip(t, name, 70_000, 70_001, 1) },
		"cut":     func(t *testing.T, name string) { noErr(t, os.Truncate(name, 66_000)) },
		"gone":    func(t *testing.T, name string) { noErr(t, os.Remove(name)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), newSource()
			objs := warmed(t, dir, s, 300_000, 3<<20)
			for _, f := range files(t, dir, "objects/*/*") {
				damage(t, f)
			}
			c := open(t, options(dir, s))
			s.forget()
			for _, obj := range objs {
				if got := check(t, c, obj); got.OK() || got.Check != "crc32c" || got.Expected == "" {
					t.Errorf("%s: got %+v, want damage found by crc32c", obj.Ref, got)
				}
				if got := check(t, c, obj); !got.OK() || got.Complete {
					t.Errorf("%s: a second check: got %+v, want the damage gone", obj.Ref, got)
				}
				readAll(t, c, obj, s.data[obj.Ref], 1<<20)
			}
			if n, _ := s.asked(); n < len(objs) {
				t.Errorf("%d requests for %d damaged objects, want one each", n, len(objs))
			}
		})
	}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheckLocalOfSmallObjects: their content lies in the index's value log.
func TestCheckLocalOfSmallObjects(t *testing.T) {
	dir, s := t.TempDir(), newSource()
	objs := warmed(t, dir, s, 20_000)
	for _, name := range files(t, dir, "index/*.vlog") {
		flip(t, name, 3000, 60_000, 9000)
	}
	c := open(t, options(dir, s))
	bad := 0
	for _, obj := range objs {
		if got := check(t, c, obj); !got.OK() {
			bad++
		}
		if got := check(t, c, obj); !got.OK() {
			t.Errorf("a second check: got %+v, want it dropped", got)
		}
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	}
	if bad == 0 {
		t.Error("no damage found in a value log with flipped bytes")
	}
}

func TestCheckLocalEnds(t *testing.T) {
	dir, s := t.TempDir(), newSource()
	objs := warmed(t, dir, s, 3<<20)
	c := open(t, options(dir, s))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CheckLocal(ctx, objs[0]); manifest.KindOf(err) != manifest.KindCanceled {
		t.Errorf("got %v, want KindCanceled", err)
	}
}
