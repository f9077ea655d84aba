package download_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/download"
)

func (w *world) verify(t *testing.T, s *snapshot.Snapshot) (download.VerifyResult, map[string]download.VerifyFailure) {
	t.Helper()
	r, err := download.Verify(t.Context(), download.VerifyOptions{Snapshot: s, Backend: w.mux})
	must(t, err)
	failed := map[string]download.VerifyFailure{}
	for _, f := range r.Failed {
		failed[f.Path] = f
	}
	if int64(len(failed)) != r.FailedCount || r.OK+r.FailedCount != r.Checked {
		t.Errorf("the counts don't add up: %+v", r)
	}
	return r, failed
}

func TestVerifyByETag(t *testing.T) {
	w := newWorld(t)
	w.store(sample())
	s := w.put(t, "mem://b/d")
	w.mem.ResetCounts()
	r, failed := w.verify(t, s)
	if r.OK != int64(len(sample())) || len(failed) > 0 {
		t.Errorf("got %+v", r)
	}
	if got := w.mem.Counts().Open; got != 0 {
		t.Errorf("%d objects were read, want none", got)
	}
	w.mem.Put("b/d/a", []byte("ONE"))
	w.mem.Delete("b/d/empty")
	r, failed = w.verify(t, s)
	a := failed["a"]
	if len(failed) != 2 || a.Ref != "mem://b/d/a" || a.Check != "etag" || a.Expected == "" || a.Found == "" || a.Expected == a.Found || a.Err == nil {
		t.Errorf("got %+v", r)
	}
	if e := failed["empty"]; e.Err == nil || e.Expected == "" {
		t.Errorf("got %+v", e)
	}
}

func TestVerifyByContent(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o666))
	}
	s := w.put(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("CONTENT"), 0o666))
	must(t, os.Remove(filepath.Join(dir, "b")))
	r, failed := w.verify(t, s)
	if r.OK != 1 || len(failed) != 2 {
		t.Fatalf("got %+v", r)
	}
	a := failed["a"]
	if a.Check != "md5" || a.Expected != "mgNkuembtIDdJeHwKEyFVQ==" || a.Found == "" || !strings.Contains(a.Err.Error(), "Digest mismatch for path") {
		t.Errorf("got %+v", a)
	}
}

func TestVerifyCountsWhatHasNoPin(t *testing.T) {
	w := newWorld(t)
	w.store(map[string]string{"a": "one"})
	digest := firstOf(t, w, "mem://b/d/a").Digest
	s := w.importText(t, `{"a":{"digest":"`+digest+`","ref":"mem://b/d/a","size":4},"u":{"digest":"mem://b/d/u","ref":"mem://b/d/u"},
		"n":{"digest":"`+digest+`","ref":"mem://b/d/a"},"w":{"digest":"XUFAKrxLKna5cZ2REBfFkg=="},"x":{"digest":"xyz://y","ref":"xyz://y"}}`)
	r, failed := w.verify(t, s)
	if r.Unchecked != 3 || r.Checked != 2 || r.OK != 1 {
		t.Errorf("got %+v", r)
	}
	if a := failed["a"]; a.Expected != "4 bytes" || a.Found != "3 bytes" {
		t.Errorf("got %+v", a)
	}
}

func TestVerifyListsABoundedNumber(t *testing.T) {
	w := newWorld(t)
	const objects = 10_100
	for i := range objects {
		w.mem.Put(fmt.Sprint("b/d/", i), nil)
	}
	s := w.put(t, "mem://b/d")
	w.mem.SetHook(memstore.Always(memstore.Fault{Err: &manifest.Error{Kind: manifest.KindDenied, Op: "stat"}}))
	r, err := download.Verify(t.Context(), download.VerifyOptions{Snapshot: s, Backend: w.mux})
	if err != nil || r.FailedCount != objects || len(r.Failed) != 10_000 {
		t.Errorf("got %d failures, %d listed, error %v; want %d and 10000", r.FailedCount, len(r.Failed), err, objects)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.store(sample())
	s := w.put(t, "mem://b/d")
	w.mem.SetHook(memstore.Always(memstore.Fault{Delay: memstore.Forever}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := download.Verify(ctx, download.VerifyOptions{Snapshot: s, Backend: w.mux})
	wantError(t, err, manifest.KindTimeout)
}
