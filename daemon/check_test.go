package daemon_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
)

func (h *house) check(v registry.Version) daemon.CheckRequest {
	return daemon.CheckRequest{Registry: "file://" + h.registry, Project: v.Project, Ref: v.Name()}
}

// flipCached inverts a byte of every content file in the cache.
func (h *house) flipCached(at int) {
	h.t.Helper()
	files, err := filepath.Glob(h.cache + "/objects/*/*")
	must(h.t, err)
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(h.t, err)
		one := make([]byte, 1)
		_, err = f.ReadAt(one, int64(at))
		must(h.t, err)
		one[0] ^= 1
		_, err = f.WriteAt(one, int64(at))
		must(h.t, err)
		must(h.t, f.Close())
	}
}

// openCache opens the house's cache as the command does without a daemon.
func (h *house) openCache() (*cache.Cache, error) {
	o := h.options(nil).Cache
	o.Source = failing{}
	return cache.Open(o)
}

type failing struct{}

func (failing) Open(context.Context, manifest.Object, int64, int64) (io.ReadCloser, cache.Described, error) {
	return nil, cache.Described{}, &manifest.Error{Kind: manifest.KindUnreachable}
}

func (failing) Stat(context.Context, manifest.Object) (cache.Described, error) {
	return cache.Described{}, &manifest.Error{Kind: manifest.KindUnreachable}
}

// checkAll checks v through whoever holds the cache.
func (h *house) checkAll(v registry.Version) daemon.CheckResult {
	h.t.Helper()
	r := open(h.t, h.registry)
	defer r.Close()
	s, err := r.OpenSnapshot(context.Background(), v)
	must(h.t, err)
	defer s.Close()
	got, err := daemon.NewClient(h.cache).CheckOrOpen(h.t.Context(), h.check(v), s, h.openCache, nil)
	must(h.t, err)
	return got
}

func wantCounts(t *testing.T, got daemon.CheckResult, checked, ok, unchecked, failed int64) {
	t.Helper()
	if got.Checked != checked || got.OK != ok || got.Unchecked != unchecked || got.FailedCount != failed || int64(len(got.Failed)) != failed {
		t.Errorf("got %+v, want %d checked, %d ok, %d unchecked, %d failed", got, checked, ok, unchecked, failed)
	}
}

func TestCheckCachedContent(t *testing.T) {
	h := newHouse(t)
	big := strings.Repeat("0123456789", 30_000)
	v := h.put("p", "a", map[string]string{"big": big, "small": "x", "other": "y", "empty": ""})
	wantCounts(t, h.checkAll(v), 0, 0, 4, 0)
	if _, err := os.Stat(h.cache); !os.IsNotExist(err) {
		t.Errorf("the check made a cache directory: %v", err)
	}
	d := h.daemon()
	req := h.request("p/a:v0")
	_, err := d.Mount(t.Context(), req)
	must(t, err)
	read(t, req.Dir+"/big")
	read(t, req.Dir+"/small")
	eventually(t, "both cached", func() bool { return h.checkAll(v).OK == 2 })
	wantCounts(t, h.checkAll(v), 2, 2, 2, 0)
	h.flipCached(200_000)
	got := h.checkAll(v)
	wantCounts(t, got, 2, 1, 2, 1)
	if f := got.Failed[0]; f.Path != "big" || f.Check != "crc32c" || !strings.HasSuffix(f.Ref, "/p/a/big") || f.Found == "" {
		t.Errorf("got failure %+v", f)
	}
	wantCounts(t, h.checkAll(v), 1, 1, 3, 0) // dropped
	must(t, d.Unmount(req.Dir, false))
	must(t, d.Close(context.Background()))
	wantCounts(t, h.checkAll(v), 1, 1, 3, 0) // without a daemon
	_, err = daemon.NewClient(h.cache).Check(t.Context(), h.check(v), nil)
	if err != daemon.ErrNoDaemon {
		t.Errorf("got %v, want ErrNoDaemon", err)
	}
}

func TestCheckErrors(t *testing.T) {
	h := newHouse(t)
	v := h.put("p", "a", map[string]string{"f": "x"})
	h.daemon()
	client := daemon.NewClient(h.cache)
	v.Artifact = "nothing"
	_, err := client.Check(t.Context(), h.check(v), nil)
	wantKind(t, err, manifest.KindNotFound, "nothing")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.Check(ctx, h.check(v), nil)
	wantKind(t, err, manifest.KindCanceled)
}

// TestStrictMount: a source that flips the last byte. A strict mount does not
// serve the first ones either.
func TestStrictMount(t *testing.T) {
	h := newHouse(t)
	store := memstore.NewVersioned()
	mux := backends.NewMux(map[manifest.Source]backends.Backend{"file": filestore.New(), "mem": store})
	data := bytes.Repeat([]byte("pinned\n"), 500_000)
	sum := md5.Sum(data)
	h.putObjects(map[string]manifest.Entry{"f": {Ref: "mem://b/f", Size: int64(len(data)), Digest: hex.EncodeToString(sum[:]),
		Extra: map[string]any{manifest.ExtraVersion: store.Put("mem://b/f", data)}}})
	d, err := daemon.New(h.options(mux))
	must(t, err)
	t.Cleanup(func() { must(t, d.Close(context.Background())) })
	strict := h.request("p/objects:v0")
	strict.Verify = daemon.VerifyStrict
	_, err = d.Mount(t.Context(), strict)
	must(t, err)
	store.SetHook(memstore.Only("open", memstore.Always(memstore.Fault{Body: flipLast})))
	buf := make([]byte, 4096)
	f := openFile(t, strict.Dir+"/f")
	defer f.Close()
	if n, err := f.ReadAt(buf, 0); n != 0 || !errors.Is(err, unix.EIO) {
		t.Errorf("strict: got %d bytes, error %v, of an object with a flipped byte; want none and EIO", n, err)
	}
	if got := d.Status().Mounts[0].Verify; got != "strict" {
		t.Errorf("status: got verify %q, want strict", got)
	}
	store.SetHook(nil)
	eventually(t, "the right bytes", func() bool {
		got, err := readFile(t, strict.Dir+"/f")
		return err == nil && bytes.Equal(got, data)
	})
	strict.Dir, strict.Verify = h.dir(), "wrong"
	_, err = d.Mount(t.Context(), strict)
	wantKind(t, err, manifest.KindInvalid, "fill or strict")
}

// flipLast flips the last bit of a response.
func flipLast(_ context.Context, r io.Reader) io.Reader {
	all, _ := io.ReadAll(r)
	if len(all) > 0 {
		all[len(all)-1] ^= 1
	}
	return bytes.NewReader(all)
}

// putObjects makes p/objects of entries, by path.
func (h *house) putObjects(entries map[string]manifest.Entry) {
	h.t.Helper()
	r := open(h.t, h.registry)
	defer r.Close()
	dir, remove, err := r.MakeTemp(h.t.Context())
	must(h.t, err)
	defer remove()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, Meta: snapshot.Meta{ExactSizes: true}})
	must(h.t, err)
	defer b.Close()
	for path, e := range entries {
		e.Path = path
		must(h.t, b.Add(e))
	}
	path := filepath.Join(dir, "snapshot")
	summary, err := b.Build(h.t.Context(), path)
	must(h.t, err)
	_, _, err = r.Commit(h.t.Context(), registry.Commit{Project: "p", Artifact: "objects", Type: "dataset", SnapshotPath: path, Summary: summary})
	must(h.t, err)
}
