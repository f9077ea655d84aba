package cache_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

func TestReadBack(t *testing.T) {
	sizes := []int{1, 100, 4096, cache.BlockSize - 1, cache.BlockSize, cache.BlockSize + 1, 300_000, 1 << 20, 1<<20 + 1, 5 << 20, 20<<20 + 12345}
	s := newSource()
	dir := t.TempDir()
	c, err := cache.Open(options(dir, s))
	if err != nil {
		t.Fatal(err)
	}
	objs := make([]manifest.Object, 0, 2*len(sizes))
	data := map[string][]byte{}
	for i, n := range sizes {
		b := content(uint64(i), n)
		a := s.put(ref(i), b)
		f := s.putFile("file:///data/"+ref(i), b)
		data[a.Ref], data[f.Ref] = b, b
		objs = append(objs, a, f)
	}
	for _, obj := range objs {
		readAll(t, c, obj, data[obj.Ref], 100_000)
	}
	for _, obj := range objs {
		eventually(t, "all of "+obj.Ref+" on disk", func() bool { return c.Inspect(obj).Cached == obj.Size })
	}
	s.forget()
	for _, obj := range objs {
		readAll(t, c, obj, data[obj.Ref], 128<<10)
	}
	if n, _ := s.asked(); n != 0 {
		t.Errorf("requests for what is here: got %d, want 0", n)
	}
	used := c.Stats().Used
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, options(dir, s))
	if got := c.Stats().Used; got != used {
		t.Errorf("used after a restart: got %d, want %d", got, used)
	}
	for _, obj := range objs {
		readAll(t, c, obj, data[obj.Ref], 77_777)
	}
	if n, _ := s.asked(); n != 0 {
		t.Errorf("requests after a restart: got %d, want 0", n)
	}
}

func TestReadAtEnds(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data := content(1, 100)
	obj := s.put(ref(1), data)
	b := make([]byte, 200)
	if n, err := c.ReadAt(t.Context(), obj, b, 0); n != 100 || err != io.EOF {
		t.Errorf("past the end: got %d, %v, want 100, EOF", n, err)
	}
	if n, err := c.ReadAt(t.Context(), obj, b[:100], 0); n != 100 || err != nil {
		t.Errorf("to the end: got %d, %v, want 100, nil", n, err)
	}
	if n, err := c.ReadAt(t.Context(), obj, b, 100); n != 0 || err != io.EOF {
		t.Errorf("at the end: got %d, %v, want 0, EOF", n, err)
	}
	if n, err := c.ReadAt(t.Context(), obj, b, 1000); n != 0 || err != io.EOF {
		t.Errorf("behind the end: got %d, %v, want 0, EOF", n, err)
	}
	if _, err := c.ReadAt(t.Context(), obj, b, -1); manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("negative offset: got %v, want KindInvalid", err)
	}
	empty := s.put(ref(2), nil)
	if n, err := c.ReadAt(t.Context(), empty, b, 0); n != 0 || err != io.EOF {
		t.Errorf("empty: got %d, %v, want 0, EOF", n, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadAt(t.Context(), obj, b, 0); manifest.KindOf(err) != manifest.KindCanceled {
		t.Errorf("after Close: got %v, want KindCanceled", err)
	}
	var typed *manifest.Error
	if _, err := c.Size(t.Context(), manifest.Object{Ref: "x", Size: -1}); !errors.As(err, &typed) {
		t.Errorf("Size after Close: got %v, want a *manifest.Error", err)
	}
}

// TestHeld: a directory is held while a cache has it, and while somebody keeps its lock
// for the next one, which takes it over.
func TestHeld(t *testing.T) {
	dir, s := t.TempDir(), newSource()
	if cache.Held(dir) {
		t.Error("an empty directory is held")
	}
	c, err := cache.Open(options(dir, s))
	noErr(t, err)
	fd, err := unix.Dup(int(c.Lock().Fd()))
	noErr(t, err)
	noErr(t, c.Close())
	if !cache.Held(dir) {
		t.Error("a lock that is kept holds nothing")
	}
	if _, err := cache.Open(options(dir, s)); manifest.KindOf(err) != manifest.KindBusy {
		t.Errorf("opened while somebody keeps the lock: %v", err)
	}
	o := options(dir, s)
	o.Lock = os.NewFile(uintptr(fd), "lock")
	c, err = cache.Open(o)
	noErr(t, err)
	noErr(t, c.Close())
	if cache.Held(dir) {
		t.Error("held after the end")
	}
}
