package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const manyObjects = 1000

// content gives each object of each round bytes of its own; sizes go from empty
// to more than a block of the cache.
func content(key string, round int) []byte {
	if strings.Contains(key, " 0007") && round == 0 {
		return nil // empty objects are files too
	}
	size := 0
	for _, c := range key {
		size = (size*131 + int(c)) % 150_000
	}
	line := fmt.Sprintf("%s in round %d\n", key, round)
	return bytes.Repeat([]byte(line), size/len(line)/(1+size%7)+1)
}

func key(i int) string { return fmt.Sprintf("data/class-%02d/image %04d+%%é.bin", i%17, i) }

// seed puts manyObjects objects and gives path → content.
func seed(t *testing.T, bucket string) map[string][]byte {
	t.Helper()
	want := map[string][]byte{}
	for i := range manyObjects {
		k := key(i)
		want[strings.TrimPrefix(k, "data/")] = content(k, 0)
		shared.s3.Put(t, bucket, k, content(k, 0))
	}
	shared.s3.Put(t, bucket, "data2/sibling", []byte("not below data/"))
	return want
}

// change overwrites a quarter of the objects and deletes another; it gives what
// is there afterwards.
func change(t *testing.T, bucket string, before map[string][]byte) map[string][]byte {
	t.Helper()
	after := map[string][]byte{}
	for path, data := range before {
		after[path] = data
	}
	for i := range manyObjects {
		k := key(i)
		path := strings.TrimPrefix(k, "data/")
		switch i % 4 {
		case 0:
			after[path] = content(k, 1)
			shared.s3.Put(t, bucket, k, after[path])
		case 1:
			delete(after, path)
			shared.s3.Delete(t, bucket, k)
		}
	}
	return after
}

// wantTree compares every file below dir with want: no more, no less, all bytes.
func wantTree(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		seen++
		if data, ok := want[rel]; !ok {
			t.Errorf("%s: not recorded", rel)
		} else if got, err := os.ReadFile(path); err != nil {
			t.Errorf("%s: %v", rel, err)
		} else if !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want other %d", rel, len(got), len(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(want) {
		t.Errorf("%s: %d files, want %d", dir, seen, len(want))
	}
}

// TestTwoVersionsAtOnce: after half of a versioned prefix was overwritten or
// deleted, both versions are mounted side by side, each with its own bytes.
func TestTwoVersionsAtOnce(t *testing.T) {
	h := newHost(t)
	shared.s3.CreateBucket(t, "two-versions", true)
	v0 := seed(t, "two-versions")
	if p := h.put("vision/photos", "s3://two-versions/data"); p.Version != "v0" || !p.New || p.Files != manyObjects {
		t.Fatalf("first put: %+v", p)
	}
	v1 := change(t, "two-versions", v0)
	if p := h.put("vision/photos", "s3://two-versions/data"); p.Version != "v1" || !p.New || p.Files != int64(len(v1)) {
		t.Fatalf("second put: %+v", p)
	}
	p := h.put("vision/photos", "s3://two-versions/data")
	if p.Version != "v1" || p.New {
		t.Fatalf("third put without a change: %+v", p)
	}
	if out := h.must("put", "--name", "vision/photos", "--type", "dataset", "s3://two-versions/data"); !strings.Contains(out, "nothing changed") {
		t.Errorf("a put without a change does not say so: %s", out)
	}
	mnt := h.mount("vision")
	wantTree(t, filepath.Join(mnt, "photos:v0"), v0)
	wantTree(t, filepath.Join(mnt, "photos:v1"), v1)
	if target, err := os.Readlink(filepath.Join(mnt, "photos:latest")); err != nil || target != "photos:v1" {
		t.Errorf("latest is %q, %v", target, err)
	}
	// The same through two mounts of one version each, and all projects in one.
	wantTree(t, h.mount("vision/photos:v0"), v0)
	wantTree(t, h.mount("vision/photos:latest"), v1)
	wantTree(t, filepath.Join(h.mount(), "vision", "photos:v1"), v1)
}

// TestOverwrittenWithoutVersions: a bucket that keeps no versions can't give
// the old bytes back; pinfs says so and never gives the new ones.
func TestOverwrittenWithoutVersions(t *testing.T) {
	h := newHost(t)
	shared.s3.CreateBucket(t, "no-versions", false)
	v0 := seed(t, "no-versions")
	h.put("vision/flat", "s3://no-versions/data")
	after := change(t, "no-versions", v0)
	mnt := h.mount("vision/flat:v0")
	for path, old := range v0 {
		got, err := os.ReadFile(filepath.Join(mnt, path))
		if now, ok := after[path]; ok && bytes.Equal(now, old) {
			if err != nil || !bytes.Equal(got, old) {
				t.Errorf("%s is unchanged at the source: %d bytes, %v", path, len(got), err)
			}
		} else if !errors.Is(err, syscall.ESTALE) {
			t.Errorf("%s was changed at the source: %d bytes, error %v, want ESTALE", path, len(got), err)
		}
	}
	wantStaleMessages(t, h, after)
}

// wantStaleMessages: status names reference, expected and found.
func wantStaleMessages(t *testing.T, h *host, after map[string][]byte) {
	t.Helper()
	changed, gone := 0, 0
	for _, e := range h.status().Errors {
		if e.Errno != "ESTALE" || !strings.HasPrefix(e.Ref, "s3://no-versions/data/") || !strings.Contains(e.Message, e.Ref) {
			t.Errorf("odd error in status: %+v", e)
		}
		if _, ok := after[strings.TrimPrefix(e.Ref, "s3://no-versions/data/")]; ok {
			changed++
			if !strings.Contains(e.Message, "expected '") || !strings.Contains(e.Message, "but found '") {
				t.Errorf("no expected and found in: %s", e.Message)
			}
		} else {
			gone++
		}
	}
	if changed != manyObjects/4 || gone != manyObjects/4 {
		t.Errorf("status tells of %d changed and %d deleted objects, want %d of each", changed, gone, manyObjects/4)
	}
}
