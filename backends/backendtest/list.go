package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// many is more than two pages of a thousand.
const many = 2500

func listCases() []testCase {
	return []testCase{
		{name: "list a prefix", run: listPrefix},
		{name: "list nested names", run: listNested},
		{name: "list one object", run: listSingle},
		{name: "list one object in the depth", run: listSingleDeep},
		{name: "list with a trailing slash", run: listTrailing},
		{name: "list leaves siblings out", run: listSiblings},
		{name: "list keeps empty objects", run: listEmptyObjects},
		{name: "list skips folder markers", run: listMarkers},
		{name: "list of nothing but folder markers", run: listOnlyMarkers},
		{name: "list an object that is a prefix too", run: listObjectAndPrefix},
		{name: "list 2,500 keys", run: listMany},
		{name: "list calls fn one at a time", run: listOneAtATime},
		{name: "list stops at fn's error", run: listStops},
		{name: "list nothing there", run: listNothing},
		{name: "list no such bucket", run: listNoBucket},
		{name: "list an object with a trailing slash", run: listObjectSlash},
		{name: "list leaves deleted objects out", run: listDeleted},
		{name: "list at the same time", run: listConcurrent},
		{name: "list 1,000 folders", run: listFolders},
		{name: "list a large folder among small ones", run: listLarge},
		{name: "list 60 levels", run: listDeep},
		{name: "list below an object", run: listBelowObject},
		{name: "list of nothing but deleted objects", run: listOnlyDeleted},
		{name: "list stops at fn's first error", run: listStopsAtOnce},
	}
}

func listPrefix(t *testing.T, e *env) {
	e.putAll(t, "a", "b", "c")
	for _, i := range e.wantNames(t, e.Root, "a", "b", "c") {
		if i.Single {
			t.Errorf("%s: got Single, want it false below a prefix", i.Name)
		}
		if want := e.uri(i.Name); i.Ref != want {
			t.Errorf("got Ref %q, want %q", i.Ref, want)
		}
	}
}

func listNested(t *testing.T, e *env) {
	e.putAll(t, "a/b/c/d", "a/b/e", "a/f", "g")
	e.wantNames(t, e.Root, "a/b/c/d", "a/b/e", "a/f", "g")
	e.wantNames(t, e.uri("a/b"), "c/d", "e")
}

func listSingle(t *testing.T, e *env) {
	e.putAll(t, "one.bin", "one.bin.bak")
	wantSingle(t, e, "one.bin", "one.bin")
}

func listSingleDeep(t *testing.T, e *env) {
	e.putAll(t, "a/b/one.bin", "a/b/two.bin")
	wantSingle(t, e, "a/b/one.bin", "one.bin")
}

func wantSingle(t *testing.T, e *env, key, name string) {
	t.Helper()
	got := e.wantNames(t, e.uri(key), name)[0]
	if !got.Single || got.Ref != e.uri(key) {
		t.Errorf("got Single %v, Ref %q, want true, %q", got.Single, got.Ref, e.uri(key))
	}
}

func listTrailing(t *testing.T, e *env) {
	e.putAll(t, "data/a", "data/b/c", "data2")
	e.wantNames(t, e.uri("data/"), "a", "b/c")
}

func listSiblings(t *testing.T, e *env) {
	e.putAll(t, "data/x", "data2/x", "data.txt", "data-old/x", "dat")
	e.wantNames(t, e.uri("data"), "x")
}

func listEmptyObjects(t *testing.T, e *env) {
	e.putAll(t, "d/full")
	e.put(t, "d/empty", nil)
	got := e.wantNames(t, e.uri("d"), "empty", "full")
	if got[0].Size != 0 {
		t.Errorf("got size %d of the empty object, want 0", got[0].Size)
	}
}

func listMarkers(t *testing.T, e *env) {
	e.put(t, "d/", nil)
	e.put(t, "d/sub/", nil)
	e.putAll(t, "d/a", "d/sub/b")
	e.wantNames(t, e.uri("d"), "a", "sub/b")
	e.wantNames(t, e.uri("d/"), "a", "sub/b")
}

func listOnlyMarkers(t *testing.T, e *env) {
	e.put(t, "d/", nil)
	e.put(t, "d/sub/", nil)
	_, err := e.tryList(e.uri("d"))
	wantKind(t, err, e.uri("d"), manifest.KindNoSource)
}

func listObjectAndPrefix(t *testing.T, e *env) {
	e.putAll(t, "data", "data/x", "data/y")
	wantSingle(t, e, "data", "data")
	e.wantNames(t, e.uri("data/"), "x", "y")
}

func (e *env) putMany(t *testing.T, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("many/%d/%04d.bin", i%7, i)
	}
	e.putAtOnce(t, keys)
	return keys
}

// putAtOnce puts each key's own bytes, several at once.
func (e *env) putAtOnce(t *testing.T, keys []string) {
	t.Helper()
	g := errgroup.Group{}
	g.SetLimit(16)
	for _, key := range keys {
		g.Go(func() error { return e.Put(key, []byte(key)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func listMany(t *testing.T, e *env) {
	keys := e.putMany(t, many)
	for _, i := range e.wantNames(t, e.Root, slices.Clone(keys)...) {
		if i.Size != int64(len(i.Name)) || i.Ref != e.uri(i.Name) {
			t.Fatalf("%s: got size %d, Ref %q", i.Name, i.Size, i.Ref)
		}
	}
}

func listOneAtATime(t *testing.T, e *env) {
	e.putMany(t, 50)
	var now, calls atomic.Int64
	err := e.Backend.List(e.ctx, e.Root, func(backends.Info) error {
		if now.Add(1) > 1 {
			t.Error("fn was called while it ran")
		}
		calls.Add(1)
		now.Add(-1)
		return nil
	})
	if err != nil || calls.Load() != 50 {
		t.Fatalf("got %d calls, error %v, want 50", calls.Load(), err)
	}
}

func listStops(t *testing.T, e *env) {
	e.putMany(t, 50)
	want, calls := errors.New("enough"), 0
	err := e.Backend.List(e.ctx, e.Root, func(backends.Info) error {
		if calls++; calls == 7 {
			return want
		}
		return nil
	})
	if err != want || calls != 7 { //nolint:errorlint // as it is, not wrapped
		t.Fatalf("got error %v after %d calls, want %v after 7", err, calls, want)
	}
}

func listNothing(t *testing.T, e *env) {
	e.putAll(t, "a")
	_, err := e.tryList(e.uri("nothing/here"))
	wantKind(t, err, e.uri("nothing/here"), manifest.KindNoSource)
}

func listNoBucket(t *testing.T, e *env) {
	_, err := e.tryList(e.Missing)
	wantKind(t, err, e.Missing, manifest.KindNoSource)
}

func listObjectSlash(t *testing.T, e *env) {
	e.putAll(t, "one.bin")
	_, err := e.tryList(e.uri("one.bin/"))
	wantKind(t, err, e.uri("one.bin/"), manifest.KindNoSource)
}

func listDeleted(t *testing.T, e *env) {
	e.putAll(t, "d/a", "d/b")
	if err := e.Delete("d/a"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	e.wantNames(t, e.uri("d"), "b")
	_, err := e.tryList(e.uri("d/a"))
	wantKind(t, err, e.uri("d/a"), manifest.KindNoSource)
}

func listConcurrent(t *testing.T, e *env) {
	e.putMany(t, 40)
	g := errgroup.Group{}
	for range 8 {
		g.Go(func() error {
			infos, err := e.tryList(e.Root)
			if err == nil && len(infos) != 40 {
				err = fmt.Errorf("got %d objects, want 40", len(infos))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func listFolders(t *testing.T, e *env) {
	var keys []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf("d/%04d/sub/o", i))
	}
	e.putAtOnce(t, keys)
	e.wantNames(t, e.Root, keys...)
}

// listLarge has more than a page in one folder, so that a driver that lists folders
// by themselves does it here.
func listLarge(t *testing.T, e *env) {
	keys := []string{"a", "large.txt", "m/o", "z/y/x", "large/sub/deep/o"}
	for i := range morePages {
		keys = append(keys, fmt.Sprintf("large/%04d", i))
	}
	e.putAtOnce(t, keys)
	_, _ = e.Put("large/", nil), e.Put("large/marked/", nil) // where there are markers
	e.wantNames(t, e.Root, keys...)
}

func listDeep(t *testing.T, e *env) {
	var keys []string
	for i := range 60 {
		keys = append(keys, strings.Repeat("d/", i)+"o")
	}
	e.putAll(t, keys...)
	e.wantNames(t, e.Root, slices.Clone(keys)...)
	e.wantNames(t, e.uri(strings.Repeat("d/", 58)+"d"), "o")
}

func listBelowObject(t *testing.T, e *env) {
	e.putAll(t, "one.bin")
	_, err := e.tryList(e.uri("one.bin/x"))
	wantKind(t, err, e.uri("one.bin/x"), manifest.KindNoSource)
}

func listOnlyDeleted(t *testing.T, e *env) {
	e.putAll(t, "d/a", "d/sub/b")
	for _, key := range []string{"d/a", "d/sub/b"} {
		if err := e.Delete(key); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	_, err := e.tryList(e.uri("d/"))
	wantKind(t, err, e.uri("d/"), manifest.KindNoSource)
}

func listStopsAtOnce(t *testing.T, e *env) {
	e.putAll(t, "a", "b")
	want := errors.New("enough")
	err := e.Backend.List(e.ctx, e.Root, func(backends.Info) error { return want })
	if err != want { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got error %v, want %v", err, want)
	}
}
