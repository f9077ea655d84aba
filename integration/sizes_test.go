package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/integration/servers"
)

// exported is W&B's manifest as JSON.
type exported struct {
	Version             int                       `json:"version"`
	StoragePolicy       string                    `json:"storagePolicy"`
	StoragePolicyConfig map[string]any            `json:"storagePolicyConfig"`
	Contents            map[string]map[string]any `json:"contents"`
}

func (h *host) export(name string) (m exported) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(h.must("export", name)), &m); err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *host) importManifest(name string, m exported) {
	h.t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.t.TempDir(), "manifest.json")
	write(h.t, file, string(text))
	h.must("import", "--name", name, "--type", "dataset", file)
}

// TestUnknownSizes: manifests of others leave sizes out or say 0 for unknown.
// The mount shows the true ones, asks for each once and keeps the answer; so it does
// for the checksums of what is read.
func TestUnknownSizes(t *testing.T) {
	h, p := newHost(t).behind()
	bucket := newBucket(t, true)
	want := map[string][]byte{}
	objects := map[string][]byte{}
	for i := range 40 {
		name := fmt.Sprintf("%s/%02d", []string{"absent", "zero", "empty", "empty absent", "told"}[i%5], i)
		want[name] = randomBytes([]int{1, 5000, 70_000, 2 << 20}[i/5%4], byte(i))
		if strings.HasPrefix(name, "empty") {
			want[name] = nil
		}
		objects["d/"+name] = want[name]
	}
	putAll(t, bucket, objects)
	h.put("sizes/told", "s3://"+bucket+"/d")
	m := h.export("sizes/told:v0")
	for name, entry := range m.Contents {
		switch kind, _, _ := strings.Cut(name, "/"); kind {
		case "absent", "empty absent":
			delete(entry, "size")
		case "zero":
			entry["size"] = 0
		}
	}
	h.importManifest("sizes/untold", m)
	const asked = 24 // for those of size 0 the digest of nothing tells enough
	const sums = 6   // files of 2 MiB: S3 tells their CRC to who asks for it
	before := heads(p)
	mnt := h.mount("sizes/untold:v0")
	for range 3 {
		wantSizes(t, mnt, want)
	}
	if n := heads(p) - before; n != asked {
		t.Errorf("%d HEADs for %d files whose size is not told", n, asked)
	}
	wantTree(t, mnt, want)
	forgetPages(t)
	wantSizes(t, mnt, want)
	again := h.mount("sizes")
	wantSizes(t, filepath.Join(again, "untold:v0"), want)
	h.must("umount", mnt)
	h.must("umount", again)
	h.must("mount", "sizes/untold:v0", mnt)
	h.must("mount", "sizes", again)
	wantSizes(t, mnt, want)
	if n := heads(p) - before; n != asked+sums {
		t.Errorf("%d HEADs after another look, want %d for sizes and %d for checksums", n, asked, sums)
	}
	root := filepath.Join(h.dir, "got")
	h.must("get", "sizes/untold:v0", "--root", root)
	wantTree(t, root, want)
	if back := h.export("sizes/untold:v0"); len(back.Contents) != len(m.Contents) || fmt.Sprint(back.Contents) != fmt.Sprint(m.Contents) {
		t.Error("what is exported is not what was imported")
	}
}

// heads counts the requests for what is known of objects.
func heads(p *servers.FaultProxy) int {
	return p.Count(func(method, _ string) bool { return method == http.MethodHead })
}

func wantSizes(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	for name, data := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() != int64(len(data)) {
			t.Errorf("%s: %v, %v, want %d bytes", name, info, err, len(data))
		}
	}
}

// TestShadowedFile: of a file and a directory of one name, which an object store
// may hold, the directory shows; nothing is listed twice, nothing is lost.
func TestShadowedFile(t *testing.T) {
	h := newHost(t)
	bucket := newBucket(t, true)
	contents := map[string]map[string]any{}
	for _, path := range []string{"a", "a/b", "a/c", "d/e", "d/e/f/g", "d/e/f", "z"} {
		etag, version := shared.s3.Put(t, bucket, "k/"+strings.ReplaceAll(path, "/", "_"), []byte("at "+path))
		contents[path] = map[string]any{"digest": etag, "ref": "s3://" + bucket + "/k/" + strings.ReplaceAll(path, "/", "_"), "size": len("at " + path),
			"extra": map[string]any{"etag": etag, "versionID": version}}
	}
	m := exported{1, "wandb-storage-policy-v1", map[string]any{"storageLayout": "V2"}, contents}
	h.importManifest("sizes/shadowed", m)
	mnt := h.mount("sizes/shadowed:v0")
	want := map[string][]byte{"a/b": []byte("at a/b"), "a/c": []byte("at a/c"), "d/e/f/g": []byte("at d/e/f/g"), "z": []byte("at z")}
	wantTree(t, mnt, want)
	for dir, names := range map[string][]string{".": {"a", "d", "z"}, "a": {"b", "c"}, "d": {"e"}, "d/e": {"f"}, "d/e/f": {"g"}} {
		list, err := os.ReadDir(filepath.Join(mnt, dir))
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("%s lists %v, %v, want %v", dir, got, err, names)
		}
	}
	root := filepath.Join(h.dir, "got")
	h.must("get", "sizes/shadowed:v0", "--root", root)
	wantTree(t, root, want)
	back := h.export("sizes/shadowed:v0")
	text, _ := json.Marshal(m)
	var plain exported
	if err := json.Unmarshal(text, &plain); err != nil || fmt.Sprint(back) != fmt.Sprint(plain) {
		t.Errorf("exported:\n%v\nwant\n%v", back, plain)
	}
}
