package publish_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
	"github.com/pinfs/pinfs/registry/publish"
)

// between does something once, before the first object is opened.
type between struct {
	*backends.Mux
	once sync.Once
	do   func()
}

func (b *between) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	b.once.Do(b.do)
	return b.Mux.Open(ctx, obj, offset, length)
}

func TestChunkDigests(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	contents := map[string][]byte{
		"empty": nil, "small": []byte("small"), "even": make([]byte, 4*chunks.MinSize),
		"odd": bytes.Repeat([]byte("odd"), chunks.MinSize),
	}
	for name, data := range contents {
		w.mem.Put("b/d/"+name, data)
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o666))
	}
	w.put(t, "mem://b/d", "files="+dir)
	w.mem.ResetCounts()
	o := w.options("mem://b/d", "files="+dir)
	o.ChunkDigests = true
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if c := w.mem.Counts(); c.Open != int64(len(contents)) || c.Stat != 0 || c.Streams != 0 {
		t.Errorf("%d objects opened, %d asked for, %d streams open; want %d, 0, 0", c.Open, c.Stat, c.Streams, len(contents))
	}
	all := w.entries(t, r.Version)
	if len(all) != 2*len(contents) || !r.New {
		t.Fatalf("got %d entries, new %v", len(all), r.New)
	}
	for _, e := range all {
		h := chunks.NewHasher(chunks.SizeFor(e.Size))
		_, err := h.Write(contents[filepath.Base(e.Path)])
		must(t, err)
		if want := h.Chunks(); e.Chunks != want {
			t.Errorf("%s: got chunks of %d bytes with %d digest bytes, want %d with %d", e.Path, e.Chunks.Size, len(e.Chunks.Digests), want.Size, len(want.Digests))
		}
	}
	if r, err = publish.Put(t.Context(), o); err != nil || r.New {
		t.Errorf("again: new %v, error %v", r.New, err)
	}
}

func TestChunksOfAnUnknownSize(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("content"))
	w.mem.SetHook(unsized)
	o := w.options("mem://b/d")
	o.ChunkDigests = true
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if e := w.entries(t, r.Version)[0]; e.Size != 7 || len(e.Chunks.Digests) != chunks.DigestSize {
		t.Errorf("got size %d and %d bytes of digests, want what the reading has found", e.Size, len(e.Chunks.Digests))
	}
}
