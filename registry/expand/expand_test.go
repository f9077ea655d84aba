package expand_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/expand"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has sources and a folder for what is found.
type world struct {
	mem *memstore.Store
	o   expand.Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{mem: memstore.New()}
	mux := backends.NewMux(map[manifest.Source]backends.Backend{"mem": w.mem, "file": filestore.New()})
	t.Cleanup(func() { must(t, mux.Close()) })
	w.o.Backend = mux
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
}

func (w *world) expander(t *testing.T) *expand.Expander {
	t.Helper()
	w.o.Dir = t.TempDir()
	dir, x := w.o.Dir, expand.New(w.o)
	t.Cleanup(func() {
		must(t, x.Close())
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in the folder: %v, error %v", left, err)
		}
	})
	return x
}

// unpinned is an entry as checksum=False makes it.
func unpinned(path, uri string) manifest.Entry {
	return manifest.Entry{Path: path, Ref: uri, Digest: uri, Size: manifest.SizeUnknown}
}

// version makes a snapshot.
func version(t *testing.T, entries ...manifest.Entry) *snapshot.Snapshot {
	t.Helper()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: t.TempDir(), AllowShadowed: true, Meta: snapshot.Meta{ExactSizes: true}})
	must(t, err)
	for _, e := range entries {
		must(t, b.Add(e))
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	_, err = b.Build(t.Context(), path)
	must(t, err)
	s, err := snapshot.Open(path)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// open expands s and gives its entries by path.
func open(t *testing.T, x *expand.Expander, s *snapshot.Snapshot) map[string]manifest.Entry {
	t.Helper()
	full, err := x.Open(t.Context(), s, "key")
	must(t, err)
	if full != s {
		defer full.Close()
	}
	all := map[string]manifest.Entry{}
	for e, err := range full.Entries() {
		must(t, err)
		all[e.Path] = e
	}
	return all
}

func paths(all map[string]manifest.Entry) string {
	var names []string
	for path := range all {
		names = append(names, path)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestExpand(t *testing.T) {
	w := newWorld(t)
	w.mem.SetVersioned(true)
	for _, key := range []string{"d/x", "d/sub/y", "d2/no", "one"} {
		w.mem.Put("b/"+key, []byte(key))
	}
	pinned := manifest.Entry{Path: "kept", Ref: "mem://b/one", Digest: "etag", Size: 3, ModTime: time.Unix(1, 0).UTC(), Extra: map[string]any{"etag": "etag"}}
	tracked := unpinned("tracked", "nope://host/x")
	s := version(t, pinned, tracked, unpinned("data/dir", "mem://b/d"), unpinned("single", "mem://b/one"))
	x := w.expander(t)
	all := open(t, x, s)
	if got, want := paths(all), "data/dir/sub/y data/dir/x kept single tracked"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if fmt.Sprint(all["kept"]) != fmt.Sprint(pinned) || fmt.Sprint(all["tracked"]) != fmt.Sprint(tracked) {
		t.Errorf("got %v and %v, want what was recorded", all["kept"], all["tracked"])
	}
	for path, key := range map[string]string{"data/dir/x": "d/x", "data/dir/sub/y": "d/sub/y", "single": "one"} {
		obj := all[path].Object()
		if obj.Pin.Kind != manifest.PinVersion || obj.Size != int64(len(key)) {
			t.Fatalf("%s: got pin %s and size %d, want a version", path, obj.Pin, obj.Size)
		}
		w.mem.Put("b/"+key, []byte("overwritten"))
		body, _, err := w.o.Backend.Open(t.Context(), obj, 0, -1)
		must(t, err)
		if got, err := io.ReadAll(body); err != nil || string(got) != key {
			t.Errorf("%s: got %q, error %v", path, got, err)
		}
		must(t, body.Close())
	}
	refs := x.References("key")
	if len(refs) != 2 || refs[0].Path != "data/dir" || !refs[0].Dir || refs[0].Objects != 2 || refs[0].Err != nil ||
		refs[1].Ref != "mem://b/one" || refs[1].Dir || refs[1].Objects != 1 || refs[1].Time.IsZero() {
		t.Errorf("got %+v", refs)
	}
}

// TestSameForAll: whoever comes first decides what all see.
func TestSameForAll(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	s := version(t, unpinned("d", "mem://b/d"))
	x := w.expander(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			full, err := x.Open(t.Context(), s, "key")
			if err != nil {
				t.Error(err)
				return
			}
			defer full.Close()
			if full.Summary().Files != 1 {
				t.Errorf("got %d files", full.Summary().Files)
			}
		})
	}
	all.Wait()
	w.mem.Put("b/d/y", []byte("y"))
	if got := paths(open(t, x, s)); got != "d/x" || w.mem.Counts().List != 1 {
		t.Errorf("got %q after %d listings, want what was found first", got, w.mem.Counts().List)
	}
	if got := paths(open(t, w.expander(t), s)); got != "d/x d/y" {
		t.Errorf("another expander: got %q, want what is there now", got)
	}
}

func TestNothingToExpand(t *testing.T) {
	w := newWorld(t)
	s := version(t, unpinned("x", "nope://host/x"), manifest.Entry{Path: "y", Ref: "mem://b/y", Digest: "etag", Size: 1})
	x := w.expander(t)
	full, err := x.Open(t.Context(), s, "key")
	if err != nil || full != s || x.Needed(s) || w.mem.Counts().Requests() != 0 {
		t.Errorf("got %v, error %v, %d requests; want the version itself", full, err, w.mem.Counts().Requests())
	}
}

// TestTakenPaths: what the version itself has stays.
func TestTakenPaths(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"d/x", "d/sub/y", "d/kept", "d/a//b"} {
		w.mem.Put("b/"+key, []byte(key))
	}
	kept := manifest.Entry{Path: "d/kept", Ref: "mem://b/other", Digest: "etag", Size: 3}
	s := version(t, unpinned("d", "mem://b/d"), unpinned("d/sub", "mem://b/d/sub"), kept)
	x := w.expander(t)
	all := open(t, x, s)
	if got, want := paths(all), "d/kept d/sub/y d/x"; got != want || all["d/kept"].Ref != kept.Ref {
		t.Errorf("got %s, want %s", got, want)
	}
	var left int64
	for _, r := range x.References("key") {
		left += r.LeftOut
	}
	if left != 3 { // kept, one of the two sub/y, and a//b
		t.Errorf("%d objects left out, want 3", left)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	w.o.MaxObjects = 3
	for i := range 4 {
		w.mem.Put(fmt.Sprint("b/many/", i), []byte("x"))
	}
	w.mem.Put("b/denied/x", []byte("x"))
	w.mem.Put("b/good/x", []byte("x"))
	w.mem.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
		if strings.HasSuffix(r.URI, "denied") {
			return memstore.Fault{Err: backends.Denied("list", r.URI, "", nil)}
		}
		return memstore.Fault{}
	})
	s := version(t, unpinned("denied", "mem://b/denied"), unpinned("good", "mem://b/good"), unpinned("many", "mem://b/many"), unpinned("none", "mem://b/none"))
	x := w.expander(t)
	all := open(t, x, s)
	if got, want := paths(all), "denied good/x many none"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	b := x.Wrap(w.o.Backend)
	for path, kind := range map[string]manifest.Kind{"denied": manifest.KindDenied, "many": manifest.KindLimit, "none": manifest.KindNoSource} {
		wantError(t, x.Failure(all[path].Object()), kind, "mem://b/"+path)
		_, _, err := b.Open(t.Context(), all[path].Object(), 0, -1)
		wantError(t, err, kind)
		_, err = b.Stat(t.Context(), all[path].Object())
		wantError(t, err, kind)
	}
	if err := x.Failure(all["good/x"].Object()); err != nil {
		t.Errorf("got %v of what went well", err)
	}
	if _, err := b.Stat(t.Context(), all["good/x"].Object()); err != nil {
		t.Error(err)
	}
	for _, r := range x.All() {
		if (r.Err == nil) != (r.Path == "good") {
			t.Errorf("%s: got error %v", r.Path, r.Err)
		}
	}
}

// TestLaterIsBetter: a source that does not answer fails the opening, not the
// version.
func TestLaterIsBetter(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	s := version(t, unpinned("d", "mem://b/d"))
	x := w.expander(t)
	w.mem.SetHook(memstore.First(1, memstore.Fault{Err: backends.Unreachable("list", "mem://b/d", errors.New("no route"))}))
	_, err := x.Open(t.Context(), s, "key")
	wantError(t, err, manifest.KindUnreachable, "mem://b/d")
	if got := paths(open(t, x, s)); got != "d/x" {
		t.Errorf("got %q at the second try", got)
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	w.o.Timeout = 50 * time.Millisecond
	w.mem.Put("b/d/x", []byte("x"))
	w.mem.SetHook(memstore.Always(memstore.Fault{Delay: memstore.Forever}))
	s := version(t, unpinned("d", "mem://b/d"))
	x := w.expander(t)
	_, err := x.Open(t.Context(), s, "key")
	wantError(t, err, manifest.KindTimeout)

	// One waits for the turn of another, no longer than it likes.
	w.o.Timeout = -1
	x = w.expander(t)
	first, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		_, err := x.Open(first, s, "key")
		wantError(t, err, manifest.KindCanceled)
	})
	for w.mem.Counts().List < 2 {
		time.Sleep(time.Millisecond)
	}
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	_, err = x.Open(short, s, "key")
	wantError(t, err, manifest.KindTimeout)
	cancel()
	all.Wait()
}

// TestBelow: who wants a part asks only the sources of that part.
func TestBelow(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/sub/y", []byte("y"))
	s := version(t, unpinned("d", "mem://b/d"), unpinned("dd", "mem://b/none"), unpinned("e/f", "mem://b/none"))
	for below, lists := range map[string]int64{"": 3, "d": 1, "d/sub/y": 1, "e": 1, "e/f": 1, "other": 0} {
		w.mem.ResetCounts()
		w.o.Below = below
		open(t, w.expander(t), s)
		if got := w.mem.Counts().List; got != lists {
			t.Errorf("below %q: %d listings, want %d", below, got, lists)
		}
	}
}

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "found")
	must(t, expand.MakeDir(dir))
	must(t, os.WriteFile(filepath.Join(dir, "old"), nil, 0o666))
	must(t, expand.MakeDir(dir))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("got %v, error %v, want an empty folder", left, err)
	}
	wantError(t, expand.MakeDir("/proc/none"), manifest.KindOther, "/proc/none")
}

// files makes files and the entries that put --no-checksum makes of them.
func files(t *testing.T, contents map[string]string) (dir string, entries []manifest.Entry) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range contents {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
		ref := "file://" + dir + "/" + name
		entries = append(entries, manifest.Entry{Path: name, Ref: ref, Digest: manifest.NoMD5(ref), Size: int64(len(text))})
	}
	return dir, entries
}

func TestPinFiles(t *testing.T) {
	w := newWorld(t)
	dir, entries := files(t, map[string]string{"x": "content", "grown": "content"})
	s := version(t, entries...)
	x := w.expander(t)
	all := open(t, x, s)
	obj := all["x"].Object()
	if x.Needed(s) || !expand.Pinnable(obj) {
		t.Fatalf("needed %v, pinnable %v; want files to wait until they are opened", x.Needed(s), expand.Pinnable(obj))
	}
	if _, ok := x.Pinned(obj); ok {
		t.Error("pinned before anybody asked")
	}
	var tasks sync.WaitGroup
	var wrong atomic.Int64
	for range 8 {
		tasks.Go(func() {
			if got, err := x.Pin(t.Context(), obj); err != nil || got.Pin.Kind != manifest.PinMD5 || got.Size != 7 || got.Ref != obj.Ref {
				wrong.Add(1)
			}
		})
	}
	tasks.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d of 8 got something else than the pinned file", wrong.Load())
	}
	first, ok := x.Pinned(obj)
	must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("CHANGED"), 0o666))
	if again, err := x.Pin(t.Context(), obj); err != nil || again != first || !ok {
		t.Errorf("got %v, error %v, want the pin that was found first", again, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "grown"), []byte("longer content"), 0o666))
	_, err := x.Pin(t.Context(), all["grown"].Object())
	wantError(t, err, manifest.KindChanged, "7 bytes", "14 bytes")
	must(t, os.Remove(filepath.Join(dir, "grown")))

	gone := manifest.Entry{Path: "gone", Ref: "file://" + dir + "/gone", Digest: manifest.NoMD5("file://" + dir + "/gone"), Size: 1}.Object()
	_, err = x.Pin(t.Context(), gone)
	wantError(t, err, manifest.KindGone, "/gone")
	must(t, os.WriteFile(filepath.Join(dir, "gone"), []byte("x"), 0o666))
	if _, err = x.Pin(t.Context(), gone); err != nil {
		t.Errorf("got %v once it was there", err)
	}
}

// TestFilesTogether: who wants all of a version gets its files pinned with it.
func TestFilesTogether(t *testing.T) {
	w := newWorld(t)
	w.o.Files, w.o.Timeout = true, -1
	dir, entries := files(t, map[string]string{"x": "content", "y": "other"})
	entries = append(entries, unpinned("dir", "file://"+dir))
	x := w.expander(t)
	all := open(t, x, version(t, entries...))
	if got, want := paths(all), "dir/x dir/y x y"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	for path, e := range all {
		if e.Object().Pin.Kind != manifest.PinMD5 || e.Ref != "file://"+dir+"/"+filepath.Base(path) {
			t.Errorf("got %+v", e)
		}
	}
}

func TestAfterClose(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	_, entries := files(t, map[string]string{"x": "content"})
	s := version(t, append(entries, unpinned("d", "mem://b/d"))...)
	w.o.Dir = t.TempDir()
	x := expand.New(w.o)
	full, err := x.Open(t.Context(), s, "key")
	must(t, err)
	defer full.Close()
	must(t, x.Close())
	if node, ok, err := full.Find("d/x"); err != nil || !ok || node.Size != 1 {
		t.Errorf("an open snapshot: got %+v, %v, %v", node, ok, err)
	}
	_, err = x.Open(t.Context(), s, "key")
	wantError(t, err, manifest.KindCanceled)
	_, err = x.Pin(t.Context(), entries[0].Object())
	wantError(t, err, manifest.KindCanceled)
	must(t, x.Close())
}
