package blobstore_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/blobstore"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// copyOf is what a manifest records of a copy of data.
func copyOf(data []byte) (obj manifest.Object, name string) {
	sum, sha := md5.Sum(data), sha256.Sum256(data)
	name = hex.EncodeToString(sha[:])
	e := manifest.Entry{Path: "x", Digest: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(data)), Extra: map[string]any{
		manifest.ExtraSource: "mem://b/x", manifest.ExtraChecksums: map[string]any{"sha256": name},
	}}
	return e.Object(), name
}

// place is a folder of copies.
type place string

func (p place) find(_ context.Context, sha256 string) (string, error) {
	path := filepath.Join(string(p), sha256)
	if _, err := os.Stat(path); err != nil {
		return "", &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: sha256}
	}
	return path, nil
}

func (p place) put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(p), name), data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *blobstore.Store, obj manifest.Object, offset, length int64) ([]byte, error) {
	t.Helper()
	body, info, err := s.Open(t.Context(), obj, offset, length)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if info.Ref != "" || info.Size != obj.Size {
		t.Errorf("got info %+v, want no reference and the size %d", info, obj.Size)
	}
	return io.ReadAll(body)
}

func wantError(t *testing.T, err error, kind manifest.Kind, parts ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got %v, want an error of kind %q", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want it to say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "file://") {
		t.Errorf("got %q, want no local file named", err)
	}
}

func TestRead(t *testing.T) {
	dir := place(t.TempDir())
	s := blobstore.New(dir.find, filestore.New())
	for _, data := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("0123456789"), 300_000)} {
		obj, name := copyOf(data)
		dir.put(t, name, data)
		for _, r := range [][2]int64{{0, -1}, {0, 1}, {5, 10}, {int64(len(data)) - 1, 100}, {int64(len(data)) + 5, 3}} {
			from := min(max(r[0], 0), int64(len(data)))
			to := int64(len(data))
			if r[1] >= 0 {
				to = min(to, from+r[1])
			}
			if got, err := read(t, s, obj, r[0], r[1]); err != nil || !bytes.Equal(got, data[from:to]) {
				t.Errorf("%d bytes from %d of %d: got %d, error %v", r[1], r[0], len(data), len(got), err)
			}
		}
		info, err := s.Stat(t.Context(), obj)
		if err != nil || info.Size != obj.Size || info.Digest != obj.Digest || info.Ref != "" {
			t.Errorf("got %+v, error %v", info, err)
		}
	}
	if err := s.List(t.Context(), "", nil); manifest.KindOf(err) != manifest.KindUnsupported {
		t.Errorf("list: got %v", err)
	}
}

func TestWhatIsNoCopy(t *testing.T) {
	dir := place(t.TempDir())
	s := blobstore.New(dir.find, filestore.New())
	obj, name := copyOf([]byte("content"))

	_, err := read(t, s, obj, 0, -1)
	wantError(t, err, manifest.KindGone, name, "--copy")

	dir.put(t, name, []byte("other length"))
	_, err = read(t, s, obj, 0, -1)
	wantError(t, err, manifest.KindCorrupt, name, "damaged")
	dir.put(t, name, []byte("cONTENT"))
	_, err = s.Stat(t.Context(), obj)
	wantError(t, err, manifest.KindCorrupt, name, "damaged")

	stored := manifest.Entry{Path: "x", Digest: obj.Digest, Size: 7}.Object() // as W&B stores files
	_, err = read(t, s, stored, 0, -1)
	wantError(t, err, manifest.KindUnsupported, "W&B")
	_, err = s.Stat(t.Context(), stored)
	wantError(t, err, manifest.KindUnsupported, "W&B")
}

func TestFinders(t *testing.T) {
	var f blobstore.Finders
	obj, name := copyOf([]byte("content"))
	s := blobstore.New(f.Find, filestore.New())
	_, err := read(t, s, obj, 0, -1)
	wantError(t, err, manifest.KindGone, name)

	empty, full := place(t.TempDir()), place(t.TempDir())
	full.put(t, name, []byte("content"))
	removeEmpty, removeFull := f.Add(empty.find), f.Add(full.find)
	if got, err := read(t, s, obj, 0, -1); err != nil || string(got) != "content" {
		t.Errorf("got %q, error %v", got, err)
	}
	removeEmpty()
	if got, err := read(t, s, obj, 0, -1); err != nil || string(got) != "content" {
		t.Errorf("got %q, error %v", got, err)
	}
	removeFull()
	_, err = read(t, s, obj, 0, -1)
	wantError(t, err, manifest.KindGone, name)

	f.Add(func(context.Context, string) (string, error) {
		return "", &manifest.Error{Kind: manifest.KindDenied, Op: "find", Ref: "registry"}
	})
	_, err = read(t, s, obj, 0, -1)
	wantError(t, err, manifest.KindDenied)

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			remove := f.Add(full.find)
			defer remove()
			if _, err := f.Find(t.Context(), name); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
