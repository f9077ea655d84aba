package integration_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// mixed is one host, one object of each kind of source, and how to write it.
type mixed struct {
	*host
	uris map[string]string                       // by name in the version
	put  map[string]func(t *testing.T, s string) // writes the content
	dir  string                                  // the directory with "file"
}

// pinned are the names whose old version stays readable; the others' is gone
// once they are overwritten.
var pinned = []string{"s3-versions", "gcs", "azure-versions"}

// newMixed starts all servers. A host has one Azure: with versions there is
// one container that keeps them, and its blobs at ETags are another host's.
func newMixed(t *testing.T) *mixed {
	t.Helper()
	gcs, azure, nginx := shared.gcs.Get(t), shared.azure.Get(t), shared.nginx.Get(t)
	h := newHost(t).with(gcs.Env()...).with(azure.Env("")...)
	e := &mixed{host: h, uris: map[string]string{}, put: map[string]func(*testing.T, string){}}
	e.addS3(t, "s3-versions", "every-versions", true)
	e.addS3(t, "s3-plain", "every-plain", false)
	gcs.CreateBucket(t, "every-gcs", true)
	e.uris["gcs"] = "gs://every-gcs/d/gcs.bin"
	e.put["gcs"] = func(t *testing.T, s string) { gcs.Put(t, "every-gcs", "d/gcs.bin", []byte(s)) }
	azure.CreateContainer(t, "every-azure", false)
	e.uris["azure-versions"] = "azblob://" + azure.Account + "/every-azure/d/azure.bin"
	e.put["azure-versions"] = func(t *testing.T, s string) { azure.Put(t, "every-azure", "d/azure.bin", []byte(s)) }
	e.addHTTP(nginx, "http-etag", servers.HTTPPlain)
	e.addHTTP(nginx, "http-time", servers.HTTPNoETag)
	e.dir = filepath.Join(t.TempDir(), "share")
	e.uris["file"] = filepath.Join(e.dir, "file")
	e.put["file"] = func(t *testing.T, s string) { write(t, e.uris["file"], s) }
	return e
}

func (e *mixed) addS3(t *testing.T, name, bucket string, versions bool) {
	shared.s3.CreateBucket(t, bucket, versions)
	e.uris[name] = "s3://" + bucket + "/d/" + name + ".bin"
	e.put[name] = func(t *testing.T, s string) { shared.s3.Put(t, bucket, "d/"+name+".bin", []byte(s)) }
}

// addHTTP: what is written later has a later time, to the second.
func (e *mixed) addHTTP(nginx *servers.Nginx, name, place string) {
	at := time.Now().Add(-time.Hour)
	e.uris[name] = nginx.URL(place, "every/"+name+".bin")
	e.put[name] = func(t *testing.T, s string) {
		at = at.Add(time.Minute)
		nginx.Put(t, "every/"+name+".bin", []byte(s), at)
	}
}

// write writes an object of each source, all of one size.
func (e *mixed) write(t *testing.T, content func(name string) string) {
	t.Helper()
	for name, put := range e.put {
		put(t, content(name))
	}
}

// args are the sources as they are typed: the directory whole, the others by name.
func (e *mixed) args() []string {
	args := []string{e.dir}
	for _, name := range slices.Sorted(maps.Keys(e.uris)) {
		if name != "file" {
			args = append(args, name+"="+e.uris[name])
		}
	}
	return args
}

func oldContent(name string) string { return strings.Repeat("old "+name+"\n", 5_000) }
func newContent(name string) string { return strings.Repeat("new "+name+"\n", 5_000) }

// TestEverySource: one version with objects of S3, GCS, Azure, HTTP and a
// directory is one tree. When all were overwritten, by contents of equal size,
// what a version pins reads the old bytes and the rest is ESTALE, each with a
// message that names reference, expected and found.
func TestEverySource(t *testing.T) {
	e := newMixed(t)
	e.write(t, oldContent)
	if p := e.host.put("every/source", e.args()...); p.Files != int64(len(e.uris)) || !p.New {
		t.Fatalf("put gives %+v, want %d new files", p, len(e.uris))
	}
	mnt := e.mount("every/source:v0")
	e.wantListed(t, mnt)
	early := slices.Sorted(maps.Keys(e.uris)) // read before the change, from a cache of its own
	reader := &mixed{host: e.with("PINFS_CACHE_DIR=" + filepath.Join(t.TempDir(), "cache")), uris: e.uris}
	before := reader.mount("every/source:v0")
	for _, name := range early {
		wantContent(t, before, name, oldContent(name))
	}

	e.write(t, newContent)
	e.wantAfter(t, mnt)
	dropCaches(t)
	for _, name := range early {
		wantContent(t, before, name, oldContent(name)) // cached, so still there
	}
	e.wantMessages(t)
	e.wantVerifyNames(t)
	e.wantSecondVersion(t)
}

func dropCaches(t testing.TB) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatal(err) // else the kernel answers, not the cache
	}
}

func wantContent(t *testing.T, mnt, name, want string) {
	t.Helper()
	if got := read(t, filepath.Join(mnt, name)); string(got) != want {
		t.Errorf("%s: %d wrong bytes, want %.12q…", name, len(got), want)
	}
}

func (e *mixed) wantListed(t *testing.T, mnt string) {
	t.Helper()
	for name := range e.uris {
		info, err := os.Stat(filepath.Join(mnt, name))
		if err != nil || info.Size() != int64(len(oldContent(name))) {
			t.Errorf("stat %s: %v, %v", name, info, err)
		}
	}
	if all, err := fs.ReadDir(os.DirFS(mnt), "."); err != nil || len(all) != len(e.uris) {
		t.Errorf("%d entries, %v; want %d", len(all), err, len(e.uris))
	}
}

// wantAfter reads all files for the first time, after they were overwritten.
func (e *mixed) wantAfter(t *testing.T, mnt string) {
	t.Helper()
	for name := range e.uris {
		if slices.Contains(pinned, name) {
			wantContent(t, mnt, name, oldContent(name))
			continue
		}
		if got, err := os.ReadFile(filepath.Join(mnt, name)); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("%s was overwritten: got %d bytes and %v, want ESTALE", name, len(got), err)
		}
	}
}

func (e *mixed) changed() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(e.uris)) {
		if !slices.Contains(pinned, name) {
			names = append(names, name)
		}
	}
	return names
}

// wantMessages: status has each changed file, with all that one wants to know.
func (e *mixed) wantMessages(t *testing.T) {
	t.Helper()
	var seen []string
	for _, fault := range e.status().Errors {
		name := filepath.Base(fault.Path)
		seen = append(seen, name)
		ref := strings.TrimPrefix(e.uris[name], "file://")
		if !strings.Contains(fault.Message, ref) || !strings.Contains(fault.Message, "expected '") || !strings.Contains(fault.Message, "found '") {
			t.Errorf("%s: the message has not reference, expected and found: %s", name, fault.Message)
		}
	}
	slices.Sort(seen)
	if want := e.changed(); !slices.Equal(seen, want) {
		t.Errorf("status has %q, want %q", seen, want)
	}
}

// wantVerifyNames: verify exits with 6 and names exactly the changed files.
func (e *mixed) wantVerifyNames(t *testing.T) {
	t.Helper()
	r := e.run("--json", "verify", "every/source:v0")
	if r.code != 6 {
		t.Errorf("verify: exit %d, want 6: %s", r.code, r.stderr)
	}
	for name := range e.uris {
		changed := !slices.Contains(pinned, name)
		if named := strings.Contains(r.stdout, `"path": "`+name+`"`) || strings.Contains(r.stdout, `"path":"`+name+`"`); named != changed {
			t.Errorf("verify names %s: %t, want %t:\n%s", name, named, changed, r.stdout)
		}
	}
}

// wantSecondVersion: what is there now is v1, and that mounts and downloads.
func (e *mixed) wantSecondVersion(t *testing.T) {
	t.Helper()
	if p := e.host.put("every/source", e.args()...); p.Version != "v1" || !p.New {
		t.Errorf("the second put gives %+v, want a new v1", p)
	}
	mnt := e.mount("every/source:v1")
	root := filepath.Join(t.TempDir(), "got")
	e.must("get", "every/source:v1", "--root", root)
	for name := range e.uris {
		wantContent(t, mnt, name, newContent(name))
		wantContent(t, root, name, newContent(name))
	}
	e.must("verify", "every/source:v1")
}
