package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestGetMany: thousands of small objects, right; a second get fetches none of
// them, and one after some damage only what is damaged.
func TestGetMany(t *testing.T) {
	const n = 2000
	h, p := newHost(t).behind()
	bucket := newBucket(t, true)
	want, objects := map[string][]byte{}, map[string][]byte{}
	full := 0 // of empty ones there is nothing to get
	for i := range n {
		name := fmt.Sprintf("class %02d/é%04d+.bin", i%20, i)
		want[name] = randomBytes(i%50*20, byte(i))
		objects["d/"+name] = want[name]
		full += min(len(want[name]), 1)
	}
	putAll(t, bucket, objects)
	h.put("get/many", "s3://"+bucket+"/d")
	root := filepath.Join(h.dir, "got")
	var got struct {
		Root   string
		Files  int64
		Failed []any
	}
	before := gets(p)
	h.json(&got, "get", "get/many:v0", "--root", root)
	if got.Root != root || got.Files != n || len(got.Failed) != 0 {
		t.Errorf("get: %+v", got)
	}
	wantTree(t, root, want)
	if asked := gets(p) - before; !onceEach(asked, full) {
		t.Errorf("%d GETs for %d objects", asked, full)
	}
	before = gets(p)
	h.json(&got, "get", "get/many:v0", "--root", root)
	if asked := gets(p) - before; asked != 0 || got.Files != n {
		t.Errorf("the second get made %d GETs and found %d files, want 0 and %d", asked, got.Files, n)
	}
	damaged := 0
	for name := range want {
		if len(want[name]) == 0 {
			continue
		}
		if damaged++; damaged > 3 {
			break
		}
		if err := os.WriteFile(filepath.Join(root, name), make([]byte, len(want[name])), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.must("get", "get/many:v0", "--root", root)
	if asked := gets(p) - before; asked != 3 {
		t.Errorf("%d GETs to repair 3 files", asked)
	}
	wantTree(t, root, want)
}
