package daemon_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/testwarden"
)

// house is a registry, sources and room for caches and mounts.
type house struct {
	t        *testing.T
	registry string // directory
	sources  string
	cache    string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Fatalf("these tests mount: %v; install fuse3 and load the module fuse", err)
	}
	dir := t.TempDir()
	h := &house{t: t, registry: dir + "/registry", sources: dir + "/sources", cache: dir + "/cache"}
	t.Cleanup(func() { detachBelow(dir) })
	return h
}

// detachBelow removes what a failed test left mounted.
func detachBelow(dir string) {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			_ = syscall.Unmount(f[4], syscall.MNT_DETACH)
		}
	}
}

// put makes a version of project/artifact with these files, name to content.
func (h *house) put(project, artifact string, files map[string]string) registry.Version {
	h.t.Helper()
	ctx := context.Background()
	r := open(h.t, h.registry)
	defer r.Close()
	dir, remove, err := r.MakeTemp(ctx)
	must(h.t, err)
	defer remove()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, Meta: snapshot.Meta{ExactSizes: true}})
	must(h.t, err)
	defer b.Close()
	for name, content := range files {
		path := filepath.Join(h.sources, project, artifact, name)
		must(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(h.t, os.WriteFile(path, []byte(content), 0o644))
		sum := md5.Sum([]byte(content))
		must(h.t, b.Add(manifest.Entry{Path: name, Ref: "file://" + path, Size: int64(len(content)),
			Digest: base64.StdEncoding.EncodeToString(sum[:])}))
	}
	path := filepath.Join(dir, "snapshot")
	summary, err := b.Build(ctx, path)
	must(h.t, err)
	v, _, err := r.Commit(ctx, registry.Commit{Project: project, Artifact: artifact, Type: "dataset", SnapshotPath: path, Summary: summary})
	must(h.t, err)
	return v
}

func open(t *testing.T, dir string) *registry.Registry {
	t.Helper()
	r, err := openRegistry(context.Background(), "file://"+dir)
	must(t, err)
	return r
}

func openRegistry(ctx context.Context, url string) (*registry.Registry, error) {
	return registry.Open(ctx, registry.NewDirStore(strings.TrimPrefix(url, "file://")), registry.Options{})
}

// options are those of a daemon of h on files.
func (h *house) options(b backends.Backend) daemon.Options {
	return daemon.Options{Cache: cache.Options{Dir: h.cache, Size: 64 << 20, MemoryBytes: 16 << 20}, Backend: b,
		OpenRegistry: openRegistry, Version: "test", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Grace: 300 * time.Millisecond}
}

// daemon makes a daemon in this process, closed with the test.
func (h *house) daemon() *daemon.Daemon {
	h.t.Helper()
	d, err := daemon.New(h.options(filestore.New()))
	must(h.t, err)
	h.t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
	return d
}

// dir makes a mount point.
func (h *house) dir() string {
	h.t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(h.cache), "mnt")
	must(h.t, err)
	return dir
}

// request is for a mount in a new directory; ref is "", "project" or "project/a:v".
func (h *house) request(ref string) daemon.MountRequest {
	project, name, _ := strings.Cut(ref, "/")
	return daemon.MountRequest{Dir: h.dir(), Registry: "file://" + h.registry, Project: project, Ref: name}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openFile opens a file for reading. These tests use the mounts of their own
// process: were the file known to the Go runtime's poller, as those of os.Open
// are, the runtime would ask the mount while it holds what the server needs.
func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	return os.NewFile(uintptr(fd), path)
}

// readFile reads a file of openFile's kind.
func readFile(t *testing.T, path string) ([]byte, error) {
	t.Helper()
	f := openFile(t, path)
	defer f.Close()
	return io.ReadAll(f)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := readFile(t, path)
	must(t, err)
	return string(data)
}

// wantKind fails unless err is of kind and its text has all of texts.
func wantKind(t *testing.T, err error, kind manifest.Kind, texts ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got error %v, want kind %q", err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func isMounted(dir string) bool {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	return strings.Contains(string(data), " "+dir+" ")
}

// eventually waits for what must become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// rerun runs one test in a process of its own.
func rerun(t *testing.T, test string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, "/proc/self/exe", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", test, err, out)
	}
}
