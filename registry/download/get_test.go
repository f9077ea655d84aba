package download_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/download"
	"github.com/pinfs/pinfs/registry/publish"
	"github.com/pinfs/pinfs/testwarden"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullEnv); dir != "" {
		os.Exit(playFull(dir))
	}
	if arg := os.Getenv(killEnv); arg != "" {
		os.Exit(playKilled(arg))
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}

// world is a version with its sources.
type world struct {
	mem  *memstore.Store
	mux  *backends.Mux
	reg  *registry.Registry
	root string
	dir  string // of the registry
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{mem: memstore.New(), root: filepath.Join(t.TempDir(), "artifacts", "a:v0"), dir: t.TempDir()}
	r, err := registry.Open(t.Context(), registry.NewDirStore(w.dir), registry.Options{})
	must(t, err)
	w.reg = r
	w.mux = backends.NewMux(map[manifest.Source]backends.Backend{"mem": w.mem, "file": filestore.New()})
	t.Cleanup(func() { must(t, w.mux.Close()) })
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err error, kind manifest.Kind, parts ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got %v, want an error of kind %q", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want it to say %q", err, part)
		}
	}
}

// put tracks a source and opens its snapshot.
func (w *world) put(t testing.TB, uri string) *snapshot.Snapshot {
	t.Helper()
	r, err := publish.Put(t.Context(), publish.Options{
		Registry: w.reg, Backend: w.mux, Name: manifest.Name{Project: "p", Artifact: "a"}, Type: "dataset",
		Sources: []publish.Source{{URI: uri}},
	})
	must(t, err)
	return w.open(t, r.Version)
}

func (w *world) open(t testing.TB, v registry.Version) *snapshot.Snapshot {
	t.Helper()
	s, err := w.reg.OpenSnapshot(t.Context(), v)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func (w *world) importText(t testing.TB, contents string) *snapshot.Snapshot {
	t.Helper()
	r, err := publish.Import(t.Context(), publish.ImportOptions{
		Registry: w.reg, Name: manifest.Name{Project: "p", Artifact: "imported"}, Type: "dataset",
		Reader: strings.NewReader(`{"version":1,"storagePolicy":"p","storagePolicyConfig":{},"contents":` + contents + `}`),
	})
	must(t, err)
	return w.open(t, r.Version)
}

func (w *world) get(t testing.TB, s *snapshot.Snapshot) download.GetResult {
	t.Helper()
	r, err := download.Get(t.Context(), w.options(s))
	must(t, err)
	return r
}

func (w *world) options(s *snapshot.Snapshot) download.GetOptions {
	return download.GetOptions{Snapshot: s, Backend: w.mux, Root: w.root, PartSize: 64 << 10}
}

// tree reads a directory: paths to contents.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		name, _ := filepath.Rel(root, p)
		all[name] = string(data)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func wantTree(t testing.TB, root string, want map[string]string) {
	t.Helper()
	got := tree(t, root)
	for name, text := range want {
		if have, ok := got[name]; !ok || have != text {
			t.Errorf("%q: got %.40q (there: %v), want %.40q", name, have, ok, text)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is there and should not be", name)
		}
	}
}

func random(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// sample is a tree with odd names and with sizes around those of parts.
func sample() map[string]string {
	files := map[string]string{
		"a": "one", "empty": "", "sub/ü +%#?&": "two", "sub/deep/er/x": "three",
	}
	for _, size := range []int{64 << 10, 128 << 10, 128<<10 + 1, 640 << 10, 2<<20 + 12345} {
		files[fmt.Sprintf("large/%d", size)] = random(size)
	}
	return files
}

func (w *world) store(files map[string]string) {
	for name, text := range files {
		w.mem.Put("b/d/"+name, []byte(text))
	}
}

func TestGet(t *testing.T) {
	w, files := newWorld(t), sample()
	w.store(files)
	s := w.put(t, "mem://b/d")
	var total int64
	for _, text := range files {
		total += int64(len(text))
	}
	var last download.Progress
	o := w.options(s)
	o.Progress = func(p download.Progress) { last = p }
	r, err := download.Get(t.Context(), o)
	must(t, err)
	wantTree(t, w.root, files)
	if r.Root != w.root || r.Files != int64(len(files)) || r.Bytes != total || r.Reused != 0 || r.FailedCount != 0 {
		t.Errorf("got %+v, want %d files and %d bytes", r, len(files), total)
	}
	if want := (download.Progress{Files: r.Files, Bytes: total, TotalFiles: r.Files, TotalBytes: total}); last != want {
		t.Errorf("progress: got %+v, want %+v", last, want)
	}
	e := firstEntry(t, s, "a")
	info, err := os.Stat(filepath.Join(w.root, "a"))
	if err != nil || !info.ModTime().Equal(e.ModTime) {
		t.Errorf("time of a: got %v, error %v; want %v", info.ModTime(), err, e.ModTime)
	}
	if got := w.mem.Counts().Streams; got != 0 {
		t.Errorf("%d streams are still open", got)
	}
}

func firstEntry(t *testing.T, s *snapshot.Snapshot, path string) manifest.Entry {
	t.Helper()
	node, ok, err := s.Find(path)
	if err != nil || !ok {
		t.Fatalf("find %s: %v, %v", path, ok, err)
	}
	e, err := s.Entry(node.Index)
	must(t, err)
	return e
}

func TestGetHonoursUmask(t *testing.T) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	w := newWorld(t)
	w.store(map[string]string{"sub/a": "one"})
	w.get(t, w.put(t, "mem://b/d"))
	for name, want := range map[string]fs.FileMode{"sub": 0o750, "sub/a": 0o640} {
		info, err := os.Stat(filepath.Join(w.root, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got mode %v, error %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestGetAgainFetchesWhatIsMissing(t *testing.T) {
	w, files := newWorld(t), sample()
	w.store(files)
	s := w.put(t, "mem://b/d")
	w.get(t, s)
	must(t, os.Remove(filepath.Join(w.root, "a")))
	must(t, os.WriteFile(filepath.Join(w.root, "sub/deep/er/x"), []byte("THREE"), 0o666))
	must(t, os.WriteFile(filepath.Join(w.root, "empty"), []byte("longer"), 0o666))
	must(t, os.WriteFile(filepath.Join(w.root, "foreign"), []byte("mine"), 0o666))
	w.mem.ResetCounts()
	r := w.get(t, s)
	if got := w.mem.Counts().Open; got != 3 {
		t.Errorf("%d streams opened, want 3 for what was missing or wrong", got)
	}
	if r.Files != int64(len(files)) || r.Reused != r.Files-3 {
		t.Errorf("got %+v", r)
	}
	files["foreign"] = "mine"
	wantTree(t, w.root, files)
}

// Where no checksum is known, what is there is not trusted.
func TestGetAgainWithoutSums(t *testing.T) {
	w := newWorld(t)
	w.store(map[string]string{"a": "one"})
	s := w.put(t, "mem://b/d")
	w.get(t, s)
	w.mem.SetHook(memstore.Always(memstore.Fault{Info: func(i *backends.Info) { i.Sums = nil }}))
	must(t, os.WriteFile(filepath.Join(w.root, "a"), []byte("ONE"), 0o666))
	if r := w.get(t, s); r.Reused != 0 || r.Files != 1 {
		t.Errorf("got %+v, want the file fetched", r)
	}
	wantTree(t, w.root, map[string]string{"a": "one"})
}

func TestGetPathPrefix(t *testing.T) {
	for prefix, want := range map[string][]string{
		"sub": {"sub/deep/er/x", "sub/ü +%#?&"}, "sub/deep/": {"sub/deep/er/x"}, "a": {"a"}, "sub/ü +%#?&": {"sub/ü +%#?&"},
	} {
		w, files := newWorld(t), sample()
		w.store(files)
		o := w.options(w.put(t, "mem://b/d"))
		o.PathPrefix = prefix
		_, err := download.Get(t.Context(), o)
		must(t, err)
		var got []string
		for name := range tree(t, w.root) {
			got = append(got, name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
	w := newWorld(t)
	w.store(sample())
	o := w.options(w.put(t, "mem://b/d"))
	o.PathPrefix = "su"
	_, err := download.Get(t.Context(), o)
	wantError(t, err, manifest.KindNotFound, "su")
	if _, err := os.Lstat(w.root); !os.IsNotExist(err) {
		t.Errorf("got %v, want no root made", err)
	}
}

// What can no longer be had is told for each file, and the rest is brought.
func TestGetFailures(t *testing.T) {
	w, files := newWorld(t), sample()
	w.store(files)
	s := w.put(t, "mem://b/d")
	w.mem.Put("b/d/a", []byte("ONE"))
	w.mem.Put("b/d/large/655360", []byte("changed"))
	w.mem.Delete("b/d/sub/deep/er/x")
	r := w.get(t, s)
	delete(files, "a")
	delete(files, "large/655360")
	delete(files, "sub/deep/er/x")
	wantTree(t, w.root, files)
	if r.FailedCount != 3 || r.Files != int64(len(files)) {
		t.Errorf("got %+v", r)
	}
	kinds := map[string]manifest.Kind{}
	for _, f := range r.Failed {
		kinds[f.Path] = manifest.KindOf(f.Err)
		wantError(t, f.Err, manifest.KindOf(f.Err), "mem://b/d/"+f.Path)
	}
	if kinds["a"] != manifest.KindChanged || kinds["large/655360"] != manifest.KindChanged {
		t.Errorf("got kinds %v", kinds)
	}
}

// The response is checked, whatever the source says.
func TestGetChecksContent(t *testing.T) {
	large := random(1 << 20)
	for name, fault := range map[string]memstore.Fault{
		"flipped": {Body: memstore.Flip(2)},
		"short":   {Body: memstore.Cut(2, nil)},
		"long":    {Body: memstore.Longer(1)},
		"resized": {Info: func(i *backends.Info) { i.Size++ }},
	} {
		w := newWorld(t)
		w.store(map[string]string{"small": "content", "large": large})
		s := w.put(t, "mem://b/d")
		w.mem.SetHook(memstore.Only("open", memstore.Always(fault)))
		r := w.get(t, s)
		if r.FailedCount != 2 || r.Files != 0 {
			t.Errorf("%s: got %+v, want both files to fail", name, r)
		}
		for _, f := range r.Failed {
			if kind := manifest.KindOf(f.Err); kind != manifest.KindCorrupt && kind != manifest.KindChanged {
				t.Errorf("%s: got %v", name, f.Err)
			}
		}
		wantTree(t, w.root, nil)
	}
}

func TestGetOfChangedLocalFile(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for _, name := range []string{"same size", "other size", "kept"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o666))
	}
	s := w.put(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "same size"), []byte("CONTENT"), 0o666))
	must(t, os.WriteFile(filepath.Join(dir, "other size"), []byte("longer content"), 0o666))
	r := w.get(t, s)
	wantTree(t, w.root, map[string]string{"kept": "content"})
	if len(r.Failed) != 2 {
		t.Fatalf("got %+v, want two failures", r)
	}
	for _, f := range r.Failed {
		wantError(t, f.Err, manifest.KindChanged,
			"Local file reference: Digest mismatch for path '"+filepath.Join(dir, f.Path)+"': expected 'mgNkuembtIDdJeHwKEyFVQ==' but found '")
		if strings.Count(f.Err.Error(), "expected") != 1 {
			t.Errorf("got error %q, want the digests once", f.Err)
		}
	}
}

func TestGetForeignManifest(t *testing.T) {
	w := newWorld(t)
	w.store(map[string]string{"a": "one", "b": "two"})
	all := map[string]string{}
	for path, e := range map[string]string{"a": "b/d/a", "b": "b/d/b"} {
		info, err := w.mem.Stat(t.Context(), firstOf(t, w, "mem://"+e))
		must(t, err)
		all[path] = info.Digest
	}
	s := w.importText(t, `{"zero":{"digest":"`+all["a"]+`","ref":"mem://b/d/a","size":0},"none":{"digest":"`+all["b"]+`","ref":"mem://b/d/b"},
		"stored":{"digest":"XUFAKrxLKna5cZ2REBfFkg==","size":3},"shadow":{"digest":"x","ref":"mem://b/d/a"},"shadow/x":{"digest":"`+all["a"]+`","ref":"mem://b/d/a","size":3}}`)
	for range 2 {
		r := w.get(t, s)
		wantTree(t, w.root, map[string]string{"zero": "one", "none": "two", "shadow/x": "one"})
		if len(r.Failed) != 1 || r.Failed[0].Path != "stored" {
			t.Errorf("got %+v, want that only W&B's own file failed", r)
		}
	}
}

func firstOf(t *testing.T, w *world, uri string) manifest.Object {
	t.Helper()
	var obj manifest.Object
	must(t, w.mem.List(t.Context(), uri, func(i backends.Info) error { obj = i.Entry(i.Name).Object(); return nil }))
	return obj
}

func TestGetStaysInItsRoot(t *testing.T) {
	w, outside := newWorld(t), t.TempDir()
	w.store(map[string]string{"sub/a": "one", "link": "two", "file/x": "three", "dir": "four", "ok": "five"})
	s := w.put(t, "mem://b/d")
	must(t, os.MkdirAll(filepath.Join(w.root, "dir/full"), 0o777))
	must(t, os.WriteFile(filepath.Join(w.root, "file"), []byte("mine"), 0o666))
	must(t, os.WriteFile(filepath.Join(outside, "target"), []byte("theirs"), 0o666))
	must(t, os.Symlink(outside, filepath.Join(w.root, "sub")))
	must(t, os.Symlink(filepath.Join(outside, "target"), filepath.Join(w.root, "link")))
	r := w.get(t, s)
	wantTree(t, outside, map[string]string{"target": "theirs"})
	got := map[string]string{}
	for _, f := range r.Failed {
		got[f.Path] = f.Err.Error()
	}
	for path, part := range map[string]string{"sub/a": "sub", "file/x": "a file is in the place of its directory", "dir": "a directory is in its place"} {
		if !strings.Contains(got[path], part) {
			t.Errorf("%s: got %q, want %q", path, got[path], part)
		}
	}
	// The link itself is replaced by the file.
	info, err := os.Lstat(filepath.Join(w.root, "link"))
	if err != nil || !info.Mode().IsRegular() || r.Files != 2 || len(got) != 3 {
		t.Errorf("link: got %v, error %v; result %+v", info.Mode(), err, r)
	}
}

func TestCancelRemovesTemporaryFiles(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{"a": "one", "large": random(1 << 20)}
	w.store(files)
	s := w.put(t, "mem://b/d")
	w.mem.SetHook(memstore.Only("open", memstore.Always(memstore.Fault{Body: memstore.Stall(1)})))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := download.Get(ctx, w.options(s))
	wantError(t, err, manifest.KindTimeout, w.root, "get again")
	wantTree(t, w.root, nil)
	w.mem.SetHook(nil)
	w.get(t, s)
	wantTree(t, w.root, files)
}

// What a killed Get left is taken over; what a living one has is left alone.
func TestLeftoverParts(t *testing.T) {
	w := newWorld(t)
	w.store(map[string]string{"sub/a": "one"})
	s := w.put(t, "mem://b/d")
	part := ""
	w.mem.SetHook(func(context.Context, memstore.Request) memstore.Fault {
		if found, _ := filepath.Glob(filepath.Join(w.root, "sub", ".pinfs-*.part")); len(found) == 1 {
			part = found[0]
		}
		return memstore.Fault{}
	})
	w.get(t, s)
	if part == "" {
		t.Fatal("no temporary file was seen")
	}
	w.mem.SetHook(nil)
	must(t, os.Remove(filepath.Join(w.root, "sub/a")))
	must(t, os.WriteFile(part, []byte("a longer leftover"), 0o666))
	w.get(t, s)
	wantTree(t, w.root, map[string]string{"sub/a": "one"})

	must(t, os.Remove(filepath.Join(w.root, "sub/a")))
	held, err := os.Create(part)
	must(t, err)
	defer held.Close()
	must(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))
	w.get(t, s)
	wantTree(t, w.root, map[string]string{"sub/a": "one", "sub/" + filepath.Base(part): ""})
}

func TestTwoGetsAtOnce(t *testing.T) {
	w, files := newWorld(t), sample()
	w.store(files)
	s := w.put(t, "mem://b/d")
	errs := make(chan error)
	for range 4 {
		go func() {
			r, err := download.Get(t.Context(), w.options(s))
			if err == nil && r.FailedCount > 0 {
				err = r.Failed[0].Err
			}
			errs <- err
		}()
	}
	for range 4 {
		must(t, <-errs)
	}
	wantTree(t, w.root, files)
}

func TestGetIsParallelAndBounded(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{"large": random(4 << 20)}
	for i := range 300 {
		files[fmt.Sprint("small/", i)] = fmt.Sprint(i)
	}
	w.store(files)
	s := w.put(t, "mem://b/d")
	var now, most atomic.Int64
	w.mem.SetHook(memstore.Only("open", func(context.Context, memstore.Request) memstore.Fault {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return memstore.Fault{}
	}))
	o := w.options(s)
	o.Parallel = 6
	_, err := download.Get(t.Context(), o)
	must(t, err)
	wantTree(t, w.root, files)
	if got := most.Load(); got < 3 || got > 6 {
		t.Errorf("%d requests at once, want up to 6 and more than 2", got)
	}
}

func TestSums(t *testing.T) {
	for alg, want := range map[manifest.SumAlg]string{
		manifest.SumMD5: "25f9e794323b453885f5181f1b624d0b", manifest.SumCRC32: "cbf43926", manifest.SumCRC32C: "e3069283", manifest.SumCRC64NVME: "ae8b14860a799888",
		manifest.SumSHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		if got := hex.EncodeToString(download.SumOf(alg, "123456789")); got != want {
			t.Errorf("%s: got %s, want %s", alg, got, want)
		}
	}
	if got := download.SumOf("new", "x"); got != nil {
		t.Errorf("an unknown algorithm gave %x", got)
	}
}

// Each sum that the source tells is checked, and unknown algorithms are no harm.
func TestEverySumIsChecked(t *testing.T) {
	for _, alg := range []manifest.SumAlg{manifest.SumMD5, manifest.SumCRC32, manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumSHA256} {
		for _, size := range []int{10, 1 << 20} {
			w := newWorld(t)
			text := random(size)
			w.store(map[string]string{"good": text, "bad": text})
			s := w.put(t, "mem://b/d")
			w.mem.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
				return memstore.Fault{Info: func(i *backends.Info) {
					value := download.SumOf(alg, text)
					if strings.HasSuffix(r.URI, "bad") {
						value = bytes.Clone(value)
						value[0] ^= 1
					}
					i.Sums = []manifest.Sum{{Alg: "future", Value: []byte{1}}, {Alg: alg, Value: value}}
				}}
			})
			r := w.get(t, s)
			wantTree(t, w.root, map[string]string{"good": text})
			if len(r.Failed) != 1 || r.Failed[0].Path != "bad" {
				t.Fatalf("%s: got %+v", alg, r)
			}
			wantError(t, r.Failed[0].Err, manifest.KindCorrupt, string(alg)+" differs")
		}
	}
}
