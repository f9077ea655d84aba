package snapshot_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// chunksOf makes chunks of a content that nobody has.
func chunksOf(contentSize, chunkSize int64, seed uint64) manifest.Chunks {
	digests := make([]byte, chunks.DigestSize*chunks.Count(contentSize, chunkSize))
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	if _, err := r.Read(digests); err != nil {
		panic(err) // it never fails
	}
	return chunks.Of(chunkSize, string(digests))
}

// pins is what doc.go and pins.go say of Summary.Pins, in the order of paths.
func (m model) pins(paths []string) string {
	h, some := sha256.New(), false
	put := func(s string) {
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(len(s)))
		io.WriteString(h, string(n[:])+s)
	}
	for _, p := range paths {
		e := m.files[p]
		o := e.Object()
		pin, source, id := "", "", ""
		if o.Pin.Kind == manifest.PinTime || e.Digest == e.Ref && o.Pin.Kind != manifest.PinNone {
			pin = o.Pin.String()
		}
		if text, ok := e.Extra["source"].(string); ok {
			source = text
		}
		if e.Chunks.Size > 0 {
			id = string(e.Chunks.ID[:])
		}
		if pin == "" && source == "" && id == "" && o.Checksums == "" {
			continue
		}
		some = true
		for _, s := range []string{p, pin, o.Checksums, source, id} {
			put(s)
		}
		binary.Write(h, binary.LittleEndian, e.Size)
	}
	if !some {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// TestPins: what is recorded beside the digests shows, and only that.
func TestPins(t *testing.T) {
	build := func(change func(*manifest.Entry)) snapshot.Summary {
		t.Helper()
		e := manifest.Entry{Path: "a", Digest: "tag", Ref: "http://h/a", Size: 100_000}
		change(&e)
		s, sum := build(t, snapshot.BuilderOptions{Meta: snapshot.Meta{ExactSizes: true}}, e, s3Entry("b", 1))
		if open := s.Summary(); open.Pins != sum.Pins || open.Unpinned != sum.Unpinned {
			t.Errorf("opened: got %+v, want %+v", open, sum)
		}
		return sum
	}
	extra := func(key string, v any) func(*manifest.Entry) {
		return func(e *manifest.Entry) { e.Extra = map[string]any{key: v} }
	}
	weak := func(time string) func(*manifest.Entry) {
		return func(e *manifest.Entry) { e.Digest, e.Extra = e.Ref, map[string]any{"lastModified": time} }
	}
	seen := map[string]string{}
	for name, change := range map[string]func(*manifest.Entry){
		"crc32c": extra("checksums", map[string]any{"crc32c": "01020304"}), "crc32c other": extra("checksums", map[string]any{"crc32c": "01020305"}),
		"source": extra("source", "s3://b/k"), "source other": extra("source", "s3://b/l"),
		"time": weak("Sat, 28 Nov 2026 10:00:00 GMT"), "time other": weak("Sat, 28 Nov 2026 10:00:01 GMT"),
		"etag behind a URI": func(e *manifest.Entry) { e.Digest = e.Ref; extra("etag", `"x"`)(e) },
		"chunks":            func(e *manifest.Entry) { e.Chunks = chunksOf(e.Size, 64<<10, 1) },
		"chunks other":      func(e *manifest.Entry) { e.Chunks = chunksOf(e.Size, 64<<10, 2) },
		"chunks larger":     func(e *manifest.Entry) { e.Chunks = chunksOf(e.Size, 128<<10, 1) },
		"chunks and size":   func(e *manifest.Entry) { e.Size++; e.Chunks = chunksOf(e.Size, 64<<10, 1) },
	} {
		sum := build(change)
		if before, ok := seen[sum.Pins]; ok || len(sum.Pins) != 32 {
			t.Errorf("%s: got pins %q, as %q", name, sum.Pins, before)
		}
		seen[sum.Pins] = name
	}
	for name, change := range map[string]func(*manifest.Entry){
		"plain": func(*manifest.Entry) {}, "size": func(e *manifest.Entry) { e.Size++ }, "unknown checksum": extra("checksums", map[string]any{"md4": "00"}),
		"time beside a tag": extra("lastModified", "x"), "other": extra("x", "y"), "etag": extra("etag", `"tag"`), "ref": func(e *manifest.Entry) { e.Ref += "b" },
	} {
		if sum := build(change); sum.Pins != "" || sum.Unpinned != 0 {
			t.Errorf("%s: got pins %q and %d unpinned, want none", name, sum.Pins, sum.Unpinned)
		}
	}
}

func TestUnpinned(t *testing.T) {
	uri := func(path, ref string) manifest.Entry {
		return manifest.Entry{Path: path, Ref: ref, Digest: ref, Size: manifest.SizeUnknown}
	}
	pinned := uri("pinned", "http://h/x")
	pinned.Extra = map[string]any{manifest.ExtraETag: `"x"`}
	s, sum := build(t, snapshot.BuilderOptions{}, uri("a", "s3://b/dir/"), uri("b", "http://h/"), uri("c", "wandb-artifact://00/x"), uri("d", "ftp://h/x"), pinned,
		s3Entry("e", 1), manifest.Entry{Path: "f", Digest: "stored"})
	if sum.Unpinned != 2 || s.Summary().Unpinned != 2 {
		t.Errorf("got %d, opened %d, want 2", sum.Unpinned, s.Summary().Unpinned)
	}
}

func TestChunksRefused(t *testing.T) {
	good := chunksOf(100_000, 64<<10, 1)
	bad := good
	bad.ID[0] ^= 1
	for name, e := range map[string]manifest.Entry{
		"size":    {Path: "a", Size: 300_000, Chunks: good},
		"unknown": {Path: "a", Size: manifest.SizeUnknown, Chunks: good},
		"id":      {Path: "a", Size: 100_000, Chunks: bad},
	} {
		dir := t.TempDir()
		_, err := tryBuild(filepath.Join(dir, "s"), snapshot.BuilderOptions{}, e)
		if manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(fmt.Sprint(err), `"a"`) {
			t.Errorf("%s: got %v, want KindInvalid naming the path", name, err)
		}
		wantNoFiles(t, dir)
	}
}

// TestChunksDeterminism: neither the order of Add nor the memory is seen, and
// chunks are found in a file that has many of them.
func TestChunksDeterminism(t *testing.T) {
	var entries []manifest.Entry
	for i := range 3000 {
		e := s3Entry(fmt.Sprintf("d%d/e%d/f-%d", i%7, i%113, i), i)
		if e.Size = int64(i) * 1000; i%3 > 0 {
			e.Chunks = chunksOf(e.Size, chunks.SizeFor(e.Size), uint64(i))
		}
		entries = append(entries, e)
	}
	var first string
	for round, memory := range []int64{0, 1, 300 << 10, 1} {
		s, sum := build(t, snapshot.BuilderOptions{MemoryBytes: memory}, entries...)
		if first == "" {
			first = sum.SHA256
		}
		if sum.SHA256 != first {
			t.Fatalf("round %d: other bytes", round)
		}
		for i := round; i < len(entries); i += 4 {
			wantEntry(t, s, entries[i])
		}
		shuffle(entries, uint64(round))
	}
}

// TestChunksMemory builds 40 MB of digests, some of them of giants, within 4 MiB.
func TestChunksMemory(t *testing.T) {
	const n, memory = 10_000, 4 << 20
	dir := t.TempDir()
	w := &watching{Context: t.Context(), t: t}
	runtime.GC()
	w.look()
	heap, files := w.heap, w.files
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, MemoryBytes: memory})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	giant := chunksOf(1<<40, 8<<20, 1) // 4 MiB
	small := chunksOf(32<<20, 1<<20, 2)
	for i := range n {
		e := s3Entry(fmt.Sprintf("d%d/%d", i*7919%n, i), i)
		if e.Size, e.Chunks = 32<<20, small; i%2000 == 0 {
			e.Size, e.Chunks = 1<<40, giant
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			w.look()
		}
	}
	if sum, err := b.Build(w, filepath.Join(dir, "s")); err != nil || sum.Files != n {
		t.Fatalf("got %+v, %v", sum, err)
	}
	t.Logf("heap %d MiB over %d, %d descriptors over %d", (w.heap-heap)>>20, heap>>20, w.files-files, files)
	if over := w.heap - heap; over > 4*memory+2*4<<20 { // garbage doubles what is in use; the giant itself is here
		t.Errorf("got %d MiB of heap", over>>20)
	}
	if over := w.files - files; over > 5 {
		t.Errorf("got %d descriptors, want at most 5", over)
	}
}

// TestManyReads: a file whose object is asked for again and again gives the same
// digests without a copy of them each time.
func TestManyReads(t *testing.T) {
	large := s3Entry("large", 1)
	large.Size = 1 << 40
	large.Chunks = chunksOf(large.Size, 8<<20, 1)
	plain := s3Entry("plain", 2)
	s, _ := build(t, snapshot.BuilderOptions{}, large, plain)
	for path, most := range map[string]float64{"large": 8192, "plain": 8192} {
		n, _, err := s.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 1000 {
			if _, err := s.Object(n.Index); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if per := float64(after.TotalAlloc-before.TotalAlloc) / 1000; per > most {
			t.Errorf("%s: got %.0f bytes of memory for each, want at most %.0f", path, per, most)
		}
	}
}

// TestOldReaders: the section says that it is optional, so that a pinfs that does
// not know it goes on.
func TestOldReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	buildAt(t, path, snapshot.BuilderOptions{AllowShadowed: true}, variety()...)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if v, flags := le.Uint32(raw[8:]), le.Uint32(raw[12:]); v != 1 || flags != 0 {
		t.Errorf("format %d, flags %d", v, flags)
	}
	found := false
	for i := range le.Uint32(raw[76:]) {
		if sec := raw[128+32*i:]; le.Uint32(sec) == 7 {
			found = le.Uint32(sec[4:]) == 1 && le.Uint64(sec[24:]) == 4
		}
	}
	if !found {
		t.Error("no optional section 7 with 4 files")
	}
}
