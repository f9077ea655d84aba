package publish_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/publish"
)

// world is a registry with sources.
type world struct {
	*registry.Registry
	dir string
	mem *memstore.Store
	mux *backends.Mux
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "registry"), mem: memstore.New()}
	r, err := registry.Open(t.Context(), registry.NewDirStore(w.dir), registry.Options{})
	must(t, err)
	w.Registry = r
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

func (w *world) options(sources ...string) publish.Options {
	o := publish.Options{
		Registry: w.Registry, Backend: w.mux, Name: manifest.Name{Project: "p", Artifact: "a"}, Type: "dataset",
	}
	for _, s := range sources {
		o.Sources = append(o.Sources, publish.ParseSource(s))
	}
	return o
}

func (w *world) put(t testing.TB, sources ...string) publish.Result {
	t.Helper()
	r, err := publish.Put(t.Context(), w.options(sources...))
	must(t, err)
	return r
}

// entries gives the entries of a version.
func (w *world) entries(t testing.TB, v registry.Version) []manifest.Entry {
	t.Helper()
	s, err := w.OpenSnapshot(t.Context(), v)
	must(t, err)
	defer s.Close()
	var all []manifest.Entry
	for e, err := range s.Entries() {
		must(t, err)
		all = append(all, e)
	}
	return all
}

func (w *world) paths(t testing.TB, v registry.Version) []string {
	t.Helper()
	var all []string
	for _, e := range w.entries(t, v) {
		all = append(all, e.Path)
	}
	return all
}

// wantClean wants no temporary files, and no versions if there are to be none.
func (w *world) wantClean(t testing.TB, versions int) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(w.dir, ".tmp"))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(left) > 0 {
		t.Errorf("left in .tmp: %v, error %v", left, err)
	}
	got, err := w.Versions(context.Background(), "p", "a")
	if len(got) != versions {
		t.Errorf("got %d versions, error %v; want %d", len(got), err, versions)
	}
}

func TestPutPrefix(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"data/a", "data/sub/b c", "data/sub/ü+%#?&", "data/empty", "data2/no"} {
		text := key
		if key == "data/empty" {
			text = ""
		}
		w.mem.Put("bucket/"+key, []byte(text))
	}
	r := w.put(t, "mem://bucket/data")
	want := []string{"a", "empty", "sub/b c", "sub/ü+%#?&"}
	if got := w.paths(t, r.Version); !r.New || !slices.Equal(got, want) || r.Files != 4 {
		t.Fatalf("got %q, new %v, %d files; want %q", got, r.New, r.Files, want)
	}
	h := manifest.NewHasher()
	for _, e := range w.entries(t, r.Version) {
		must(t, h.Add(e.Path, e.Digest))
		if !strings.HasPrefix(e.Ref, "mem://bucket/data/") || e.Digest == "" || e.ModTime.IsZero() {
			t.Errorf("got entry %+v", e)
		}
	}
	if r.Version.Digest != h.Sum() || r.Version.Name() != "a:v0" || r.Version.Size != r.Bytes || r.Version.Type != "dataset" {
		t.Errorf("got %+v, want digest %s", r.Version, h.Sum())
	}
	w.wantClean(t, 1)
}

func TestPutAgain(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	w.put(t, "mem://b/d")
	if r := w.put(t, "mem://b/d"); r.New || r.Version.Index != 0 || r.Files != 1 {
		t.Errorf("unchanged: got %s, new %v", r.Version.Name(), r.New)
	}
	w.mem.Put("b/d/x", []byte("two"))
	if r := w.put(t, "mem://b/d"); !r.New || r.Version.Index != 1 {
		t.Errorf("changed: got %s, new %v", r.Version.Name(), r.New)
	}
	w.wantClean(t, 2)
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"d/x", "d/sub/y", "one"} {
		w.mem.Put("b/"+key, []byte(key))
	}
	for want, sources := range map[string][]string{
		"sub/y x":                     {"mem://b/d"},
		"data/sub/y data/x":           {"data=mem://b/d"},
		"one":                         {"mem://b/one"},
		"renamed":                     {"renamed=mem://b/one"},
		"deep/er/name":                {"deep/er/name=mem://b/one"},
		"a/sub/y a/x b/sub/y b/x one": {"a=mem://b/d", "b=mem://b/d", "mem://b/one"},
	} {
		r, err := publish.Put(t.Context(), w.options(sources...))
		must(t, err)
		if got := strings.Join(w.paths(t, r.Version), " "); got != want {
			t.Errorf("%q: got %q, want %q", sources, got, want)
		}
	}
}

func TestParseSource(t *testing.T) {
	for in, want := range map[string]publish.Source{
		"s3://b/k":             {URI: "s3://b/k"},
		"s3://b/k?versionId=x": {URI: "s3://b/k?versionId=x"},
		"data=s3://b/k=v":      {Name: "data", URI: "s3://b/k=v"},
		"data/train=s3://b/k":  {Name: "data/train", URI: "s3://b/k"},
		"./date=2026-01/x":     {URI: "./date=2026-01/x"},
		"/data/date=2026-01":   {URI: "/data/date=2026-01"},
		"../a=b":               {URI: "../a=b"},
		"~/a=b":                {URI: "~/a=b"},
		"data=/data/date=1":    {Name: "data", URI: "/data/date=1"},
		"=x":                   {URI: "=x"},
		"plain":                {URI: "plain"},
		"":                     {},
	} {
		if got := publish.ParseSource(in); got != want {
			t.Errorf("%q: got %+v, want %+v", in, got, want)
		}
	}
}

func TestPutDirectory(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	files := map[string]string{"a": "one", "sub dir/ü+%#?": "two", "empty": "", "sub dir/deep/x": strings.Repeat("x", 1<<20)}
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	var last publish.Progress
	o := w.options(dir)
	o.Progress = func(p publish.Progress) { last = p }
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	all := w.entries(t, r.Version)
	if len(all) != len(files) {
		t.Fatalf("got %d entries, want %d", len(all), len(files))
	}
	for _, e := range all {
		sum := md5.Sum([]byte(files[e.Path]))
		if want := base64.StdEncoding.EncodeToString(sum[:]); e.Digest != want || e.Size != int64(len(files[e.Path])) {
			t.Errorf("%s: got digest %s and size %d, want %s", e.Path, e.Digest, e.Size, want)
		}
		if e.Ref != "file://"+filepath.Join(dir, e.Path) {
			t.Errorf("%s: got reference %s", e.Path, e.Ref)
		}
	}
	bytes := int64(1<<20 + 6)
	if want := (publish.Progress{Objects: 4, Bytes: bytes, Hashed: bytes}); last != want {
		t.Errorf("last progress: got %+v, want %+v", last, want)
	}
}

func TestMaxObjects(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		w.mem.Put(fmt.Sprintf("b/d/%d", i), nil)
	}
	o := w.options("mem://b/d")
	o.MaxObjects = 10
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindLimit, "mem://b/d", "more than 10 objects", "nothing was recorded", "--max-objects")
	w.wantClean(t, 0)
	o.MaxObjects = 11
	_, err = publish.Put(t.Context(), o)
	must(t, err)
	o.MaxObjects, o.Name.Artifact = 0, "b"
	_, err = publish.Put(t.Context(), o)
	must(t, err)
}

func TestBadSources(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.mem.Put("b/d/x", []byte("x"))
	w.mem.Put("b/d/y", []byte("x"))
	w.mem.Put("b/dir/x/z", []byte("x"))
	w.mem.Put("b/odd/a//b", []byte("x"))
	w.mem.Put("b/odd2/a/../b", []byte("x"))
	for _, test := range []struct {
		kind    manifest.Kind
		parts   []string
		sources []string
	}{
		{manifest.KindInvalid, []string{"nothing to track"}, nil},
		{manifest.KindNoSource, []string{"mem://b/none"}, []string{"mem://b/d", "mem://b/none"}},
		{manifest.KindNoSource, []string{dir}, []string{dir}},
		{manifest.KindNoSource, []string{"/none"}, []string{dir + "/none"}},
		{manifest.KindUnsupported, []string{"nope://", "known", "mem://", "file://"}, []string{"nope://b/d"}},
		{manifest.KindInvalid, []string{"mem://b/d/x and mem://b/d/x", "NAME=URI"}, []string{"mem://b/d", "mem://b/d"}},
		{manifest.KindInvalid, []string{"x", "twice", "mem://b/d/x", "mem://b/d/y"}, []string{"x=mem://b/d/x", "x=mem://b/d/y"}},
		{manifest.KindInvalid, []string{"file and a directory", "mem://b/d/x", "mem://b/dir/x/z"}, []string{"mem://b/d", "mem://b/dir"}},
		{manifest.KindInvalid, []string{"file and a directory", "mem://b/d/x", "mem://b/dir/x/z"}, []string{"mem://b/dir", "mem://b/d"}},
		{manifest.KindInvalid, []string{"mem://b/odd/a//b", "empty component"}, []string{"mem://b/odd"}},
		{manifest.KindInvalid, []string{"mem://b/odd2/a/../b", "'..'"}, []string{"mem://b/odd2"}},
		{manifest.KindInvalid, []string{"a/../b", "'..'"}, []string{"a/../b=mem://b/d"}},
	} {
		_, err := publish.Put(t.Context(), w.options(test.sources...))
		wantError(t, err, test.kind, test.parts...)
		w.wantClean(t, 0)
	}
}

func TestBadNamesFailBeforeListing(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	w.put(t, "mem://b/d")
	w.mem.ResetCounts()
	o := w.options("mem://b/d")
	o.Type = "model"
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindInvalid, "'dataset'", "'model'")
	o = w.options("mem://b/d")
	o.Aliases = []string{"v7"}
	_, err = publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindInvalid)
	if got := w.mem.Counts().List; got != 0 {
		t.Errorf("%d listings for names that can't be, want 0", got)
	}
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	o := w.options("mem://b/d")
	o.DryRun = true
	r, err := publish.Put(t.Context(), o)
	if err != nil || !r.New || r.Version.Name() != "a:v0" || r.Files != 1 || r.Bytes != 3 || r.Version.Digest == "" {
		t.Errorf("got %+v, error %v", r, err)
	}
	if _, err := os.Lstat(w.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no registry made by a dry run", err)
	}
	real := w.put(t, "mem://b/d")
	if real.Version.Digest != r.Version.Digest {
		t.Errorf("got digest %s, the dry run had %s", real.Version.Digest, r.Version.Digest)
	}
	if r, err = publish.Put(t.Context(), o); err != nil || r.New || r.Version.Index != 0 {
		t.Errorf("unchanged: got %+v, error %v", r, err)
	}
	w.mem.Put("b/d/x", []byte("two"))
	if r, err = publish.Put(t.Context(), o); err != nil || !r.New || r.Version.Index != 1 {
		t.Errorf("changed: got %+v, error %v", r, err)
	}
	w.wantClean(t, 1)
}

func TestTextsReachTheVersion(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	o := w.options("mem://b/d")
	o.Description, o.By, o.Run, o.Metadata, o.Aliases = "text", "me", "run", []byte(`{"k":1}`), []string{"best"}
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	v := r.Version
	if v.Description != "text" || v.By != "me" || v.Run != "run" || string(v.Metadata) != `{"k":1}` || !slices.Equal(v.Aliases, []string{"best", "latest"}) {
		t.Errorf("got %+v", v)
	}
}

// slow is a source whose digests take until their context ends.
type slow struct {
	backends.Backend
	started chan struct{}
	objects int
	running atomic.Int64
	most    atomic.Int64
	fail    error // of the 20th digest; nil: all wait
	count   atomic.Int64
}

var _ backends.Digester = (*slow)(nil)

func (s *slow) List(_ context.Context, uri string, fn func(backends.Info) error) error {
	for i := range s.objects {
		if err := fn(backends.Info{Name: fmt.Sprint(i), Ref: fmt.Sprint(uri, "/", i), Size: 1}); err != nil {
			return err
		}
	}
	return nil
}

func (s *slow) Digest(ctx context.Context, info backends.Info) (backends.Info, error) {
	s.most.Store(max(s.most.Load(), s.running.Add(1)))
	defer s.running.Add(-1)
	if s.fail != nil {
		if s.count.Add(1) == 20 {
			return info, s.fail
		}
		info.Digest = "d"
		return info, nil
	}
	select {
	case s.started <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return info, ctx.Err()
}

func TestCancelLeavesNothing(t *testing.T) {
	w := newWorld(t)
	s := &slow{started: make(chan struct{}, 1), objects: 100_000}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.started; cancel() }()
	o := w.options("mem://x")
	o.Backend, o.Workers = s, 3
	_, err := publish.Put(ctx, o)
	wantError(t, err, manifest.KindCanceled)
	if got := s.most.Load(); got > 3 {
		t.Errorf("%d digests at once, want at most 3", got)
	}
	w.wantClean(t, 0)
}

func TestFailedDigestLeavesNothing(t *testing.T) {
	w := newWorld(t)
	s := &slow{objects: 100_000, fail: &manifest.Error{Kind: manifest.KindDenied, Op: "digest", Ref: "mem://x/19"}}
	o := w.options("mem://x")
	o.Backend = s
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindDenied, "mem://x/19")
	w.wantClean(t, 0)
}

func TestCancelWhileListing(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	w.mem.SetHook(memstore.Always(memstore.Fault{Delay: memstore.Forever}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := publish.Put(ctx, w.options("mem://b/d"))
	wantError(t, err, manifest.KindTimeout)
	w.wantClean(t, 0)
}

func TestProgressIsRare(t *testing.T) {
	w := newWorld(t)
	for i := range 3000 {
		w.mem.Put(fmt.Sprintf("b/d/%d", i), []byte("xx"))
	}
	var calls int
	var last publish.Progress
	o := w.options("mem://b/d")
	o.Progress = func(p publish.Progress) {
		calls++
		if p.Objects < last.Objects || p.Bytes < last.Bytes {
			t.Errorf("progress went back from %+v to %+v", last, p)
		}
		last = p
	}
	start := time.Now()
	_, err := publish.Put(t.Context(), o)
	must(t, err)
	if most := int(time.Since(start)/(100*time.Millisecond)) + 2; calls > most {
		t.Errorf("%d calls, want at most %d", calls, most)
	}
	if last.Objects != 3000 || last.Bytes != 6000 {
		t.Errorf("last: got %+v", last)
	}
}
