package cache_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// model drives a cache with random reads, restarts, damage and changes at the
// source, against the truth: what each object is pinned to.
type model struct {
	t     *rapid.T
	dir   string
	s     *source
	c     *cache.Cache
	objs  []manifest.Object
	truth map[string][]byte
	// changed: the source has other bytes of that object now; reads may fail.
	changed map[string]bool
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		m := &model{t: rt, dir: dir, s: newSource(), truth: map[string][]byte{}, changed: map[string]bool{}}
		m.start()
		defer func() { _ = m.c.Close() }()
		m.add(rt) // so that every action has an object to act on
		rt.Repeat(map[string]func(*rapid.T){
			"add": m.add, "read": m.read, "read again": m.read, "read more": m.read, "all": m.all,
			"warm": m.warm, "drop": m.drop, "restart": m.restart, "rot": m.rot, "change": m.change,
			"verified": m.verified, "check": m.check, "": m.invariants,
		})
	})
}

func (m *model) start() {
	o := options(m.dir, m.s)
	o.Size, o.MemoryBytes, o.UseGrain, o.RetryAfter = 6<<20, 8<<20, time.Millisecond, time.Millisecond
	c, err := cache.Open(o)
	if err != nil {
		m.t.Fatalf("Open: %v", err)
	}
	m.c = c
}

func (m *model) add(t *rapid.T) {
	size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(60_000, 70_000), rapid.IntRange(1, 400_000), rapid.IntRange(1<<20-10, 3<<20)).Draw(t, "size")
	data := content(rapid.Uint64Range(0, 1<<30).Draw(t, "seed"), size)
	name := ref(len(m.objs))
	obj := m.s.put(name, data)
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		obj = m.s.putFile("file:///"+name, data)
	case 1:
		m.s.vouch(name, sumsOf(data)[rapid.IntRange(0, 3).Draw(t, "sum"):])
	case 2:
		obj.Size = manifest.SizeUnknown
	case 3, 4:
		obj.Chunks = chunksOf(data, rapid.SampledFrom([]int64{64 << 10, 256 << 10, 8 << 20}).Draw(t, "chunk"))
	case 5:
		obj = recording(obj, data, rapid.SampledFrom(recordable).Draw(t, "recorded"))
	}
	m.truth[obj.Ref] = data
	m.objs = append(m.objs, obj)
}

func (m *model) pick(t *rapid.T) manifest.Object {
	return rapid.SampledFrom(m.objs).Draw(t, "object")
}

func (m *model) read(t *rapid.T) {
	obj := m.pick(t)
	size := len(m.truth[obj.Ref])
	m.readAt(t, obj, rapid.IntRange(0, size+10).Draw(t, "off"), rapid.IntRange(0, 300_000).Draw(t, "n"))
}

func (m *model) all(t *rapid.T) {
	obj := m.pick(t)
	for off := 0; off < len(m.truth[obj.Ref]); off += 128 << 10 {
		m.readAt(t, obj, off, 128<<10)
	}
}

// readAt reads, and holds the outcome against the truth.
func (m *model) readAt(t *rapid.T, obj manifest.Object, off, n int) {
	data := m.truth[obj.Ref]
	buf := make([]byte, n)
	got, err := m.get(t, obj, buf, int64(off))
	if err != nil && err != io.EOF {
		switch manifest.KindOf(err) {
		case manifest.KindCorrupt, manifest.KindChanged, manifest.KindGone:
			if m.changed[obj.Ref] {
				return
			}
		}
		t.Fatalf("ReadAt(%s, %d, %d): %v", obj.Ref, off, n, err)
	}
	want := data[min(off, len(data)):min(off+n, len(data))]
	if !bytes.Equal(buf[:got], want) {
		t.Fatalf("ReadAt(%s, %d, %d): got %d bytes that differ from the %d pinned", obj.Ref, off, n, got, len(want))
	}
	if wantEOF := off >= len(data) || off+n > len(data); wantEOF != (err == io.EOF) {
		t.Fatalf("ReadAt(%s, %d, %d) of %d: got %v", obj.Ref, off, n, len(data), err)
	}
}

// get reads into buf, by either way.
func (m *model) get(t *rapid.T, obj manifest.Object, buf []byte, off int64) (int, error) {
	if !rapid.Bool().Draw(t, "view") {
		return m.c.ReadAt(context.Background(), obj, buf, off)
	}
	v, err := m.c.View(context.Background(), obj, buf, off)
	defer v.Done()
	return len(v.Head) + copy(buf[len(v.Head):], v.Tail), err
}

func (m *model) warm(t *rapid.T) {
	obj := m.pick(t)
	err := m.c.Warm(context.Background(), obj)
	if err == nil || m.changed[obj.Ref] || manifest.KindOf(err) == manifest.KindLimit {
		return
	}
	t.Fatalf("Warm(%s): %v", obj.Ref, err)
}

func (m *model) drop(t *rapid.T) {
	obj := m.pick(t)
	if err := m.c.Drop(context.Background(), obj); err != nil {
		t.Fatalf("Drop(%s): %v", obj.Ref, err)
	}
}

func (m *model) restart(t *rapid.T) {
	if err := m.c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	m.start()
}

// rot flips bytes of a file of the cache while it is closed.
func (m *model) rot(t *rapid.T) {
	if err := m.c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	names, _ := filepath.Glob(filepath.Join(m.dir, rapid.SampledFrom([]string{"objects/*/*", "index/*.vlog", "index/*.sst"}).Draw(t, "files")))
	if len(names) > 0 {
		name := rapid.SampledFrom(names).Draw(t, "file")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 5).Draw(t, "flips") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
			}
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.start()
}

// change makes the source answer for an object as a changed one: with an error
// where a pin is checked by the source, with other bytes where nothing is.
func (m *model) change(t *rapid.T) {
	obj := m.pick(t)
	if (obj.Pin.Kind == manifest.PinMD5 || obj.Chunks.Size > 0) && len(m.truth[obj.Ref]) > 0 {
		b := bytes.Clone(m.truth[obj.Ref])
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1
		m.s.put(obj.Ref, b)
	} else {
		m.s.mu.Lock()
		delete(m.s.data, obj.Ref)
		m.s.mu.Unlock()
	}
	m.changed[obj.Ref] = true
}

// verified reads what only verified bytes may answer.
func (m *model) verified(t *rapid.T) {
	obj := m.pick(t)
	data := m.truth[obj.Ref]
	off := rapid.IntRange(0, len(data)).Draw(t, "off")
	buf := make([]byte, rapid.IntRange(0, 300_000).Draw(t, "n"))
	got, err := m.c.ReadVerifiedAt(context.Background(), obj, buf, int64(off))
	if err != nil && err != io.EOF {
		if k := manifest.KindOf(err); m.changed[obj.Ref] || k == manifest.KindUnsupported && obj.Chunks.Size == 0 && obj.Checksums == "" {
			return
		}
		t.Fatalf("ReadVerifiedAt(%s, %d, %d): %v", obj.Ref, off, len(buf), err)
	}
	if want := data[off:min(off+len(buf), len(data))]; !bytes.Equal(buf[:got], want) {
		t.Fatalf("ReadVerifiedAt(%s, %d, %d): got %d bytes that differ from the %d pinned", obj.Ref, off, len(buf), got, len(want))
	}
}

// check has what is here checked: nothing wrong is ever found, but for what rotted
// on disk.
func (m *model) check(t *rapid.T) {
	obj := m.pick(t)
	l, err := m.c.CheckLocal(context.Background(), obj)
	if err != nil && manifest.KindOf(err) != manifest.KindOther {
		t.Fatalf("CheckLocal(%s): %v", obj.Ref, err)
	}
	if obj.Size >= 0 && l.Cached > obj.Size {
		t.Fatalf("CheckLocal(%s): %+v of %d bytes", obj.Ref, l, obj.Size)
	}
	if !l.OK() && l.Check != "crc32c" {
		t.Fatalf("CheckLocal(%s): %+v: wrong content was kept", obj.Ref, l)
	}
}

func (m *model) invariants(t *rapid.T) {
	st := m.c.Stats()
	if st.Used < 0 || st.Used > st.Limit || st.Objects < 0 {
		t.Fatalf("used %d of %d, %d objects", st.Used, st.Limit, st.Objects)
	}
	if st.MemoryPeak > st.MemoryLimit {
		t.Fatalf("memory: peak %d, limit %d", st.MemoryPeak, st.MemoryLimit)
	}
}
