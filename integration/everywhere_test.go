package integration_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// everywhere is one set of objects in each kind of source that a server serves:
// S3, GCS and Azure with versions, and a web server.
type everywhere struct {
	*host
	t     *testing.T
	name  string // of buckets and of folders
	gcs   *servers.GCS
	azure *servers.Azure
	nginx *servers.Nginx
}

func newEverywhere(t *testing.T) *everywhere {
	t.Helper()
	e := &everywhere{t: t, name: fmt.Sprintf("every%d", time.Now().UnixNano()), gcs: shared.gcs.Get(t), azure: shared.azure.Get(t), nginx: shared.nginx.Get(t)}
	shared.s3.CreateBucket(t, e.name, true)
	e.gcs.CreateBucket(t, e.name, true)
	e.azure.CreateContainer(t, e.name, false)
	e.host = newHost(t).with(e.gcs.Env()...).with(e.azure.Env("")...)
	return e
}

// write puts an object of that name, whose content names its source, into all.
func (e *everywhere) write(name, text string) {
	e.t.Helper()
	shared.s3.Put(e.t, e.name, "d/"+name, []byte("s3 "+text))
	e.gcs.Put(e.t, e.name, "d/"+name, []byte("gs "+text))
	e.azure.Put(e.t, e.name, "d/"+name, []byte("az "+text))
	e.nginx.Put(e.t, e.name+"/"+name, []byte("web "+text), time.Time{})
}

func (e *everywhere) delete(name string) {
	e.t.Helper()
	shared.s3.Delete(e.t, e.name, "d/"+name)
	e.gcs.Delete(e.t, e.name, "d/"+name)
	e.azure.Delete(e.t, e.name, "d/"+name)
	e.nginx.Delete(e.t, e.name+"/"+name)
}

// sources are the arguments of put: three folders, and files of the web server.
func (e *everywhere) sources(names ...string) []string {
	list := []string{"s3=s3://" + e.name + "/d", "gs=gs://" + e.name + "/d", "az=azblob://" + e.azure.Account + "/" + e.name + "/d"}
	for _, name := range names {
		list = append(list, "web/"+name+"="+e.nginx.URL(servers.HTTPPlain, e.name+"/"+name))
	}
	return list
}

// wantText reads name of each of the sources below dir.
func (e *everywhere) wantText(dir, name, text string, kinds ...string) {
	e.t.Helper()
	for _, kind := range kinds {
		if got, err := os.ReadFile(filepath.Join(dir, kind, name)); err != nil || string(got) != kind+" "+text {
			e.t.Errorf("%s/%s: got %q, %v, want %q", kind, name, got, err, kind+" "+text)
		}
	}
}

// TestUnpinnedEverywhere: put --no-checksum asks nobody. A mount shows what each
// source has when the version is first looked at, and goes on with that.
func TestUnpinnedEverywhere(t *testing.T) {
	e := newEverywhere(t)
	off := e.with("PINFS_S3_ENDPOINT=http://127.0.0.1:1", "PINFS_GS_ENDPOINT=http://127.0.0.1:1", "PINFS_AZ_ENDPOINT=http://127.0.0.1:1/"+e.azure.Account)
	if p := off.put("p/all", append([]string{"--no-checksum"}, e.sources("one", "two")...)...); p.Files != 5 {
		t.Fatalf("got %+v, want one entry for each URI", p)
	}
	e.write("one", "old")
	e.write("two", "old")
	mnt, umount := e.mountUntil("p")
	dir := filepath.Join(mnt, "all:v0")
	e.wantText(dir, "one", "old", "s3", "gs", "az", "web")
	e.write("one", "new")
	e.write("two", "new text")
	e.write("three", "new")
	e.wantText(dir, "one", "old", "s3", "gs", "az", "web") // from the cache
	e.wantText(dir, "two", "old", "s3", "gs", "az")        // from their versions
	if got, err := os.ReadFile(filepath.Join(dir, "web", "two")); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("web/two: got %q, %v, want ESTALE", got, err)
	}
	for _, kind := range []string{"s3", "gs", "az"} {
		if _, err := os.Lstat(filepath.Join(dir, kind, "three")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s/three: got %v, want what was found first", kind, err)
		}
	}
	umount()
	mnt = e.mount("p/all:v0")
	e.wantText(mnt, "two", "new text", "s3", "gs", "az", "web")
	e.wantText(mnt, "three", "new", "s3", "gs", "az")
	root := filepath.Join(t.TempDir(), "got")
	e.must("get", "p/all:v0", "--root", root)
	e.wantText(root, "three", "new", "s3", "gs", "az")
	e.wantText(root, "one", "new", "web")
}

// TestChecksumsEverywhere: put records what each store has, and reads nothing.
func TestChecksumsEverywhere(t *testing.T) {
	e := newEverywhere(t)
	e.write("one", "text")
	sources := e.sources("one")
	for i, checksum := range []string{"crc64nvme", "crc32c", "md5"} {
		e.put("p/"+checksum, "--checksum", checksum, sources[i])
		var files []file
		e.json(&files, "ls", "p/"+checksum+":v0")
		if len(files) != 1 || len(files[0].Checksums) != 1 || files[0].Checksums[checksum] == "" {
			t.Errorf("%s: got %+v, want it recorded", checksum, files)
		}
	}
	wantOneLine(t, e.run("put", "--name", "p/web", "--type", "t", "--checksum", "sha256", sources[3]), 2,
		e.nginx.URL(servers.HTTPPlain, e.name+"/one"), "sha256", "no checksum")

	e.put("p/all", append([]string{"--checksum", "source"}, sources...)...)
	var files []file
	e.json(&files, "ls", "p/all:v0")
	for _, f := range files {
		if (len(f.Checksums) > 0) != (f.Path != "web/one") {
			t.Errorf("%s: got checksums %v", f.Path, f.Checksums)
		}
	}
	out := e.must("verify", "p/all", "--read")
	if !strings.Contains(out, "4 files checked, 4 ok") {
		t.Errorf("verify says %s", out)
	}
	e.put("p/all", append([]string{"--chunk-digests"}, sources...)...)
	if out = e.must("verify", "p/all", "--read"); !strings.Contains(out, "chunks 4") {
		t.Errorf("verify says %s, want all to be checked by their chunks", out)
	}
	e.wantText(e.mount("p/all:v1"), "one", "text", "s3", "gs", "az", "web")
}

// file is an entry of `pinfs ls --json`.
type file struct {
	Path      string            `json:"path"`
	Checksums map[string]string `json:"checksums"`
}

// TestCopiesOfEverywhere: they outlive their sources.
func TestCopiesOfEverywhere(t *testing.T) {
	e := newEverywhere(t)
	e.write("one", "text")
	sources := e.sources("one")
	e.put("p/copies", slices.Concat([]string{"--copy"}, sources)...)
	e.delete("one")
	shared.s3.Put(t, e.name, "d/one", []byte("other"))
	e.wantText(e.mount("p/copies"), "one", "text", "s3", "gs", "az", "web")
	var v struct {
		OK        int64 `json:"ok"`
		Unchecked int64 `json:"unchecked"`
	}
	if e.json(&v, "verify", "p/copies"); v.OK != 4 || v.Unchecked != 0 {
		t.Errorf("verify: got %+v, want 4 ok", v)
	}
}
