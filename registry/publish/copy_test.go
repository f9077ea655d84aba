package publish_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

// blobs lists the copies that the registry keeps, by their names.
func (w *world) blobs(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(w.dir, "blobs", "??", "*"))
	must(t, err)
	for i := range all {
		all[i] = filepath.Base(all[i])
	}
	return all
}

func TestCopy(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.mem.Put("b/d/x", []byte("same"))
	w.mem.Put("b/d/sub/y", []byte("same"))
	w.mem.Put("b/d/empty", nil)
	big := bytes.Repeat([]byte("big"), 1<<19)
	must(t, os.WriteFile(filepath.Join(dir, "big"), big, 0o666))
	o := w.options("mem://b/d", "files="+dir)
	o.Copy = true
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	want := map[string]struct {
		data   []byte
		source string
	}{
		"x": {[]byte("same"), "mem://b/d/x"}, "sub/y": {[]byte("same"), "mem://b/d/sub/y"}, "empty": {nil, "mem://b/d/empty"},
		"files/big": {big, "file://" + dir + "/big"},
	}
	all := w.entries(t, r.Version)
	if len(all) != len(want) {
		t.Fatalf("got %d entries, want %d", len(all), len(want))
	}
	for _, e := range all {
		data, sum := want[e.Path].data, md5.Sum(want[e.Path].data)
		_, hex := sumOf(manifest.SumSHA256, data)
		obj := e.Object()
		if e.Ref != "" || e.Digest != base64.StdEncoding.EncodeToString(sum[:]) || e.Size != int64(len(data)) || e.ModTime.IsZero() {
			t.Errorf("%s: got entry %+v", e.Path, e)
		}
		if e.Extra[manifest.ExtraSource] != want[e.Path].source || obj.Checksums != "sha256:"+hex || obj.Pin.Kind != manifest.PinMD5 {
			t.Errorf("%s: got extra %v, pin %s", e.Path, e.Extra, obj.Pin)
		}
		local, err := w.Blob(t.Context(), hex)
		must(t, err)
		if got, err := os.ReadFile(local); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: the copy has %d bytes, error %v", e.Path, len(got), err)
		}
	}
	if n := len(w.blobs(t)); n != 3 {
		t.Errorf("%d copies of 3 different contents", n)
	}
	w.wantClean(t, 1)
	if r, err = publish.Put(t.Context(), o); err != nil || r.New {
		t.Errorf("again: new %v, error %v", r.New, err)
	}
}

// TestCopyOfWhatIsTracked: references of the same digest are no copies.
func TestCopyOfWhatIsTracked(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o666))
	first := w.put(t, dir)
	o := w.options(dir)
	o.Copy = true
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if !r.New || r.Version.Digest != first.Version.Digest || w.entries(t, r.Version)[0].Ref != "" {
		t.Errorf("got %s, new %v, want a version with copies", r.Version.Name(), r.New)
	}
}

// TestCopyReadsThePin: an object that is overwritten after it was listed is copied
// as it was listed, or not at all.
func TestCopyReadsThePin(t *testing.T) {
	for _, versioned := range []bool{true, false} {
		w := newWorld(t)
		w.mem.SetVersioned(versioned)
		w.mem.Put("b/d/x", []byte("old"))
		w.mem.SetHook(memstore.Only("open", func(context.Context, memstore.Request) memstore.Fault {
			w.mem.SetHook(nil)
			w.mem.Put("b/d/x", []byte("new"))
			return memstore.Fault{}
		}))
		o := w.options("mem://b/d")
		o.Copy = true
		_, err := publish.Put(t.Context(), o)
		if !versioned {
			wantError(t, err, manifest.KindChanged, "mem://b/d/x")
			w.wantClean(t, 0)
			if n := len(w.blobs(t)); n != 0 {
				t.Errorf("%d copies were left", n)
			}
			continue
		}
		must(t, err)
		_, want := sumOf(manifest.SumSHA256, []byte("old"))
		if got := w.blobs(t); len(got) != 1 || got[0] != want {
			t.Errorf("got copies %v, want that of the listed version, %s", got, want)
		}
	}
}

func TestCopyOfOtherBytes(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for name, body := range map[string]func(context.Context, io.Reader) io.Reader{
		"other": func(context.Context, io.Reader) io.Reader { return strings.NewReader("x0") },
		"short": func(context.Context, io.Reader) io.Reader { return strings.NewReader("x") },
		"long":  func(context.Context, io.Reader) io.Reader { return strings.NewReader("xyz") },
	} {
		w.mem.Put("b/d/x", []byte("xy"))
		w.mem.SetHook(memstore.Only("open", memstore.Always(memstore.Fault{Body: body})))
		for _, copies := range []bool{true, false} {
			o := w.options("mem://b/d")
			o.Copy, o.ChunkDigests = copies, !copies
			_, err := publish.Put(t.Context(), o)
			if kind := manifest.KindOf(err); kind != manifest.KindCorrupt && kind != manifest.KindChanged {
				t.Errorf("%s, copy %v: got %v, want another content to be noticed", name, copies, err)
			}
			w.wantClean(t, 0)
		}
	}
	// A file of the same size is changed between its digest and the copy.
	must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("old"), 0o666))
	o := w.options(dir)
	o.Copy = true
	o.Backend = &between{Mux: w.mux, do: func() { must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("new"), 0o666)) }}
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindChanged, filepath.Join(dir, "x"))
	w.wantClean(t, 0)
	if n := len(w.blobs(t)); n != 0 {
		t.Errorf("%d copies were left", n)
	}
}

func TestCopyDryRun(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	o := w.options("mem://b/d")
	o.Copy, o.DryRun = true, true
	r, err := publish.Put(t.Context(), o)
	if err != nil || !r.New || r.Files != 1 {
		t.Errorf("got %+v, error %v", r, err)
	}
	if _, err := os.Lstat(w.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no registry made by a dry run", err)
	}
}

func TestBadBlobNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "../../x", strings.Repeat("A", 64), strings.Repeat("0", 63)} {
		wantError(t, w.PutBlob(t.Context(), name, "/dev/null"), manifest.KindInvalid)
		_, err := w.Blob(t.Context(), name)
		wantError(t, err, manifest.KindNotFound)
	}
	_, err := w.Blob(t.Context(), strings.Repeat("0", 64))
	wantError(t, err, manifest.KindNotFound)
}
