package download_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/download"
)

// recorded stores a content and gives its entry, with change.
func (w *world) recorded(t testing.TB, name, text string, change func(*manifest.Entry)) manifest.Entry {
	t.Helper()
	w.mem.Put("b/d/"+name, []byte(text))
	var e manifest.Entry
	must(t, w.mem.List(t.Context(), "mem://b/d/"+name, func(i backends.Info) error { e = i.Entry(name); return nil }))
	change(&e)
	return e
}

// withSum records a checksum of text.
func withSum(alg manifest.SumAlg, text string) func(*manifest.Entry) {
	return func(e *manifest.Entry) {
		extra := maps.Clone(e.Extra)
		if extra == nil {
			extra = map[string]any{}
		}
		extra[manifest.ExtraChecksums] = manifest.ChecksumsExtra([]manifest.Sum{{Alg: alg, Value: download.SumOf(alg, text)}})
		e.Extra = extra
	}
}

// withChunks records the chunks of text.
func withChunks(text string) func(*manifest.Entry) {
	return func(e *manifest.Entry) {
		h := chunks.NewHasher(64 << 10)
		_, _ = h.Write([]byte(text))
		e.Chunks = h.Chunks()
	}
}

func plain(*manifest.Entry) {}

// snapshotOf makes a snapshot of entries.
func snapshotOf(t testing.TB, entries ...manifest.Entry) *snapshot.Snapshot {
	t.Helper()
	dir := t.TempDir()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, Meta: snapshot.Meta{ExactSizes: true}})
	must(t, err)
	for _, e := range entries {
		must(t, b.Add(e))
	}
	_, err = b.Build(t.Context(), filepath.Join(dir, "s"))
	must(t, err)
	s, err := snapshot.Open(filepath.Join(dir, "s"))
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// verifyBy verifies s; the map has what OnFile said, "!" before what failed.
func (w *world) verifyBy(t testing.TB, s *snapshot.Snapshot, read bool) (download.VerifyResult, map[string]string) {
	t.Helper()
	said := map[string]string{}
	r, err := download.Verify(t.Context(), download.VerifyOptions{Snapshot: s, Backend: w.mux, Read: read, OnFile: func(path, check string, ok bool) {
		if _, twice := said[path]; twice {
			t.Errorf("%s: told twice", path)
		}
		if said[path] = check; !ok {
			said[path] = "!" + check
		}
	}})
	must(t, err)
	return r, said
}

func wantSaid(t testing.TB, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("got checks %v, want %v", got, want)
	}
}

func TestVerifyNamesItsChecks(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	name := filepath.Join(dir, "f")
	must(t, os.WriteFile(name, []byte("content"), 0o666))
	sum := download.SumOf(manifest.SumMD5, "content")
	var entries []manifest.Entry
	for name, change := range map[string]func(*manifest.Entry){
		"plain": plain, "told": withSum(manifest.SumMD5, "text"), "not told": withSum(manifest.SumSHA256, "text"), "chunked": withChunks("text"),
		"unpinned": func(e *manifest.Entry) { e.Digest, e.Extra = e.Ref, nil },
	} {
		entries = append(entries, w.recorded(t, name, "text", change))
	}
	entries = append(entries, manifest.Entry{Path: "file", Ref: "file://" + name, Digest: base64.StdEncoding.EncodeToString(sum), Size: 7})
	s := snapshotOf(t, entries...)
	w.mem.ResetCounts()
	r, said := w.verifyBy(t, s, false)
	wantSaid(t, said, map[string]string{"plain": "etag", "told": "etag, md5", "not told": "etag", "chunked": "etag", "unpinned": "none", "file": "md5"})
	if want := map[string]int64{"etag": 4, "md5": 2}; !maps.Equal(r.Checks, want) || r.OK != 5 || r.Unchecked != 1 || r.Bytes != 0 {
		t.Errorf("got %+v, want checks %v", r, want)
	}
	if n := w.mem.Counts().Open; n != 0 {
		t.Errorf("%d objects were read, want none", n)
	}
	r, said = w.verifyBy(t, s, true)
	wantSaid(t, said, map[string]string{"plain": "etag, md5", "told": "etag, md5", "not told": "etag, sha256", "chunked": "etag, chunks", "unpinned": "none", "file": "md5"})
	if want := map[string]int64{"etag": 4, "md5": 3, "sha256": 1, "chunks": 1}; !maps.Equal(r.Checks, want) || r.OK != 5 || r.Unchecked != 1 || r.Bytes != 4*4+7 {
		t.Errorf("got %+v, want checks %v", r, want)
	}
}

// TestVerifyComparesWhatTheSourceTells: nothing needs to be read for it.
func TestVerifyComparesWhatTheSourceTells(t *testing.T) {
	w := newWorld(t)
	s := snapshotOf(t, w.recorded(t, "a", "text", withSum(manifest.SumMD5, "other")), w.recorded(t, "b", "text", plain))
	want, found := hex.EncodeToString(download.SumOf(manifest.SumMD5, "other")), hex.EncodeToString(download.SumOf(manifest.SumMD5, "text"))
	for _, read := range []bool{false, true} {
		r, said := w.verifyBy(t, s, read)
		if said["a"] != "!md5" || r.FailedCount != 1 || r.OK != 1 {
			t.Fatalf("got %v, %+v", said, r)
		}
		f := r.Failed[0]
		if f.Check != "md5" || f.Expected != want || f.Found != found || f.Ref != "mem://b/d/a" {
			t.Errorf("got %+v, want md5 %s and %s", f, want, found)
		}
		wantError(t, f.Err, manifest.KindCorrupt, "mem://b/d/a", want, found)
		if r.Bytes > 4 {
			t.Errorf("read %d bytes, want none of what differs", r.Bytes)
		}
	}
}

// TestVerifyReadsWhatIsWrong: each check finds a flipped bit, and says so.
func TestVerifyReadsWhatIsWrong(t *testing.T) {
	text := random(300_000)
	silent := func(i *backends.Info) { i.Sums = nil }
	for check, change := range map[string]func(*manifest.Entry){
		"chunks": withChunks(text), "sha256": withSum(manifest.SumSHA256, text), "crc32c": withSum(manifest.SumCRC32C, text),
		"crc64nvme": withSum(manifest.SumCRC64NVME, text), "md5": withSum(manifest.SumMD5, text), "size": plain,
	} {
		w := newWorld(t)
		s := snapshotOf(t, w.recorded(t, "a", text, change))
		w.mem.SetHook(memstore.Always(memstore.Fault{Info: silent}))
		r, said := w.verifyBy(t, s, true)
		wantSaid(t, said, map[string]string{"a": "etag, " + check})
		if r.Bytes != 300_000 {
			t.Errorf("%s: read %d bytes", check, r.Bytes)
		}
		fault := memstore.Flip(150_000)
		if check == "size" {
			fault = memstore.Cut(150_000, nil)
		}
		w.mem.SetHook(memstore.Always(memstore.Fault{Info: silent, Body: fault}))
		r, said = w.verifyBy(t, s, true)
		wantSaid(t, said, map[string]string{"a": "!" + check})
		if f := r.Failed[0]; f.Check != check || f.Expected == "" || f.Found == "" || f.Expected == f.Found || manifest.KindOf(f.Err) != manifest.KindCorrupt {
			t.Errorf("%s: got %+v", check, f)
		}
	}
}

// TestVerifyReadFails: what can't be read is no content that differs.
func TestVerifyReadFails(t *testing.T) {
	w := newWorld(t)
	s := snapshotOf(t, w.recorded(t, "a", "text", withChunks("text")))
	broken := &manifest.Error{Kind: manifest.KindUnreachable, Op: "read"}
	for _, fault := range []memstore.Fault{{Err: broken}, {Body: memstore.Cut(2, broken)}} {
		w.mem.SetHook(memstore.Only("open", memstore.Always(fault)))
		r, said := w.verifyBy(t, s, true)
		wantSaid(t, said, map[string]string{"a": "!etag"})
		if len(r.Checks) != 0 || manifest.KindOf(r.Failed[0].Err) != manifest.KindUnreachable {
			t.Errorf("got %+v", r)
		}
	}
}

// TestVerifyReadsShowProgress: of what is read, and not at once.
func TestVerifyReadsShowProgress(t *testing.T) {
	w := newWorld(t)
	text := random(3 << 20)
	s := snapshotOf(t, w.recorded(t, "a", text, withChunks(text)))
	var last download.Progress
	_, err := download.Verify(t.Context(), download.VerifyOptions{Snapshot: s, Backend: w.mux, Read: true, Progress: func(p download.Progress) {
		if p.Bytes < last.Bytes || p.Bytes > p.TotalBytes {
			t.Errorf("got %+v after %+v", p, last)
		}
		last = p
	}})
	must(t, err)
	if want := (download.Progress{Files: 1, Bytes: 3 << 20, TotalFiles: 1, TotalBytes: 3 << 20}); last != want {
		t.Errorf("got %+v, want %+v", last, want)
	}
}

// TestGetChecksWhatIsRecorded: chunks and checksums, though the source vouches for
// nothing, in one piece and by parts.
func TestGetChecksWhatIsRecorded(t *testing.T) {
	for _, size := range []int{1000, 300_000} {
		text := random(size)
		for name, change := range map[string]func(*manifest.Entry){
			"chunks": withChunks(text), "sha256": withSum(manifest.SumSHA256, text), "crc32c": withSum(manifest.SumCRC32C, text), "crc64nvme": withSum(manifest.SumCRC64NVME, text),
		} {
			w := newWorld(t)
			s := snapshotOf(t, w.recorded(t, "a", text, change))
			silent := memstore.Fault{Info: func(i *backends.Info) { i.Sums = nil }}
			wrong := silent
			wrong.Body = memstore.Flip(500)
			w.mem.SetHook(memstore.Always(wrong))
			r := w.get(t, s)
			if r.FailedCount != 1 {
				t.Fatalf("%s: got %+v, want that it fails", name, r)
			}
			wantError(t, r.Failed[0].Err, manifest.KindCorrupt, "mem://b/d/a", "expected")
			wantTree(t, w.root, nil)
			w.mem.SetHook(memstore.Always(silent))
			if r = w.get(t, s); r.Files != 1 || r.Reused != 0 {
				t.Errorf("%s: got %+v", name, r)
			}
			wantTree(t, w.root, map[string]string{"a": text})
			w.wantReuse(t, s, name, text)
		}
	}
}

// wantReuse gets again: nothing is fetched, but what was changed in its place is.
func (w *world) wantReuse(t *testing.T, s *snapshot.Snapshot, name, text string) {
	t.Helper()
	w.mem.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
		return memstore.Fault{Err: fmt.Errorf("%s: what is there needs no request", r.Op)}
	})
	if r := w.get(t, s); r.Reused != 1 || r.FailedCount != 0 {
		t.Errorf("%s: got %+v, want the file in its place reused", name, r)
	}
	w.mem.SetHook(nil)
	other := "X" + text[1:]
	if strings.HasPrefix(text, "X") {
		other = "Y" + text[1:]
	}
	must(t, os.WriteFile(filepath.Join(w.root, "a"), []byte(other), 0o666))
	if r := w.get(t, s); r.Reused != 0 || r.Files != 1 {
		t.Errorf("%s: got %+v, want the changed file fetched", name, r)
	}
	wantTree(t, w.root, map[string]string{"a": text})
}
