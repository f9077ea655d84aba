package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// filled makes a cache in dir that holds one object of each size, and closes it.
func filled(t *testing.T, dir string, s *source, sizes ...int) []manifest.Object {
	t.Helper()
	c, err := cache.Open(options(dir, s))
	if err != nil {
		t.Fatal(err)
	}
	objs := make([]manifest.Object, len(sizes))
	for i, n := range sizes {
		objs[i] = s.put(ref(i), content(uint64(i), n))
		if err := c.Warm(t.Context(), objs[i]); err != nil {
			t.Fatalf("Warm(%d bytes): %v", n, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s.forget()
	return objs
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in the cache directory (%v)", pattern, err)
	}
	return found
}

// flip inverts every step-th byte of a file's first n bytes.
func flip(t *testing.T, name string, from, n, step int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < min(n, len(b)); i += step {
		b[i] ^= 0xff
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRottenBytesAreFetchedAgain(t *testing.T) {
	s := newSource()
	dir := t.TempDir()
	objs := filled(t, dir, s, 10_000, 64<<10, 3<<20)
	for _, name := range files(t, dir, "objects/*/*") {
		flip(t, name, 100_000, 100_001, 1)
	}
	for _, name := range files(t, dir, "index/*.vlog") {
		flip(t, name, 200, 1<<20, 4000) // contents, and perhaps headers
	}
	c := open(t, options(dir, s))
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 128<<10)
	}
	if n, b := s.asked(); n == 0 || b > 10_000+2*64<<10+3<<20 {
		t.Errorf("asked for %d bytes in %d requests: want what rotted, and little more", b, n)
	}
	if got := c.Stats().Damaged; got == 0 {
		t.Errorf("damaged blocks counted: got %d, want some", got)
	}
	s.forget()
	eventually(t, "all here again", func() bool {
		c := c.Inspect(objs[2])
		return c.Cached == objs[2].Size
	})
	readAll(t, c, objs[2], s.data[objs[2].Ref], 1<<20)
	if n, _ := s.asked(); n != 0 {
		t.Errorf("requests after the repair: got %d, want 0", n)
	}
}

// TestDamagedHeaders: contents whose keys and lengths in the value log rotted are
// fetched again, and the index can be closed.
func TestDamagedHeaders(t *testing.T) {
	s, dir := newSource(), t.TempDir()
	objs := filled(t, dir, s, 1000, 8<<10, 60<<10)
	c := open(t, options(dir, s))
	for _, name := range files(t, dir, "index/*.vlog") {
		b, err := os.ReadFile(name)
		noErr(t, err)
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // badger has it mapped
		noErr(t, err)
		for _, obj := range objs {
			const before = 48 // the header and the key
			if at := bytes.Index(b, s.data[obj.Ref]); at >= before {
				_, err = f.WriteAt(bytes.Repeat([]byte{0xff, 0xff, 0xff, 0x3f}, before/4), int64(at-before)) // lengths of many MiB
				noErr(t, err)
			}
		}
		noErr(t, f.Close())
	}
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	}
	if n, _ := s.asked(); n != len(objs) {
		t.Errorf("%d requests for %d objects that rotted", n, len(objs))
	}
	noErr(t, c.Close())
}

// TestLostTable: blocks whose table rotted are fetched again, and count once.
func TestLostTable(t *testing.T) {
	s, dir := newSource(), t.TempDir()
	objs := filled(t, dir, s, 3<<20+5, 70<<20)
	c := open(t, options(dir, s))
	for _, obj := range objs {
		noErr(t, cache.LoseTable(c, obj, 0))
	}
	used := objs[0].Size + objs[1].Size
	for i, lost := range []int64{objs[0].Size, 64 << 20} {
		if l := check(t, c, objs[i]); l.Cached != objs[i].Size-lost {
			t.Errorf("%d bytes: got %+v, want %d lost", objs[i].Size, l, lost)
		}
		used -= lost
	}
	eventually(t, "what was lost is not counted", func() bool { return c.Stats().Used == used })
	for _, obj := range objs {
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
		eventually(t, "all here again", func() bool { return c.Inspect(obj).Cached == obj.Size })
	}
	eventually(t, "each byte counted once", func() bool { return c.Stats().Used == objs[0].Size+objs[1].Size })
}

func TestDamagedDirectory(t *testing.T) {
	remove := func(t *testing.T, name string) {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(n int64) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			if err := os.Truncate(name, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	scramble := func(t *testing.T, name string) { flip(t, name, 0, 1<<30, 97) }
	for name, tc := range map[string]struct {
		pattern string
		do      func(*testing.T, string)
	}{
		"object files cut":       {"objects/*/*", truncate(70_000)},
		"object files empty":     {"objects/*/*", truncate(0)},
		"object files gone":      {"objects/*/*", remove},
		"objects gone":           {"objects", remove},
		"index gone":             {"index", remove},
		"MANIFEST gone":          {"index/MANIFEST", remove},
		"MANIFEST scrambled":     {"index/MANIFEST", scramble},
		"MANIFEST empty":         {"index/MANIFEST", truncate(0)},
		"tables gone":            {"index/*.sst", remove},
		"tables scrambled":       {"index/*.sst", scramble},
		"tables cut":             {"index/*.sst", truncate(100)},
		"tables empty":           {"index/*.sst", truncate(0)},
		"value log gone":         {"index/*.vlog", remove},
		"value log empty":        {"index/*.vlog", truncate(0)},
		"value log cut":          {"index/*.vlog", truncate(50)},
		"value log scrambled":    {"index/*.vlog", scramble},
		"key registry scrambled": {"index/KEYREGISTRY", scramble},
		"discard gone":           {"index/DISCARD", remove},
		"discard scrambled":      {"index/DISCARD", scramble},
		"another format":         {"format", truncate(3)},
		"format gone":            {"format", remove},
		"lock gone":              {"lock", remove},
		"reserve gone":           {"reserve", func(*testing.T, string) {}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource()
			dir := t.TempDir()
			objs := filled(t, dir, s, 300, 10_000, 64<<10, 300_000, 3<<20)
			if tc.pattern != "reserve" {
				for _, name := range files(t, dir, tc.pattern) {
					tc.do(t, name)
				}
			}
			for range 2 {
				c, err := cache.Open(options(dir, s))
				if err != nil {
					t.Fatalf("Open: %v", err)
				}
				for _, obj := range objs {
					readAll(t, c, obj, s.data[obj.Ref], 100_000)
				}
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			s.forget()
			c := open(t, options(dir, s))
			for _, obj := range objs {
				readAll(t, c, obj, s.data[obj.Ref], 100_000)
			}
			if n, _ := s.asked(); n > 2 {
				t.Errorf("requests at the third start: got %d, want the cache to hold again what was read twice", n)
			}
		})
	}
}

func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "objects", "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := cache.Open(options(dir, newSource()))
	if manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("Open of a directory that is no cache: got %v, want KindInvalid", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "objects", "mine")); err != nil {
		t.Errorf("what was there: %v", err)
	}
}
