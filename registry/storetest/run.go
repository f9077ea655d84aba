package storetest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// Opener opens the store at a location, which is a string so that other processes
// can be told.
type Opener func(location string) (registry.Store, error)

// Fixture is a driver under test.
type Fixture struct {
	// Location makes a new, empty place for a store; the test cleans it up.
	Location func(t *testing.T) string
	// Open is called many times for one location. It is the one given to Main.
	Open Opener
}

// deadline ends a test that hangs.
const deadline = 5 * time.Minute

// Run tests the driver.
func Run(t *testing.T, f Fixture) {
	for name, test := range map[string]func(*testing.T, context.Context, Fixture, registry.Store){
		"Absent": testAbsent, "RoundTrip": testRoundTrip, "OddKeys": testOddKeys, "BadKeys": testBadKeys,
		"CreateOnce": testCreateOnce, "ChangeIfUnchanged": testChange, "Delete": testDelete, "TooLarge": testTooLarge,
		"List": testList, "ListMany": testListMany, "File": testFile, "FileFromElsewhere": testFileFromElsewhere,
		"Temp": testTemp, "Canceled": testCanceled,
		"ConcurrentCreate": testConcurrentCreate, "ConcurrentChange": testConcurrentChange,
		"ConcurrentFile": testConcurrentFile, "NothingTorn": testNothingTorn, "Processes": testProcesses,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			location := f.Location(t)
			s := open(t, f, location)
			test(t, ctx, Fixture{Location: func(*testing.T) string { return location }, Open: f.Open}, s)
		})
	}
}

func open(t *testing.T, f Fixture, location string) registry.Store {
	t.Helper()
	s, err := f.Open(location)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func want(t *testing.T, err error, kind manifest.Kind) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Errorf("got %v, want an error of kind %q", err, kind)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantRecord(t *testing.T, ctx context.Context, s registry.Store, key string, data []byte) registry.Tag {
	t.Helper()
	got, tag, err := s.Get(ctx, key)
	if err != nil || !bytes.Equal(got, data) || tag == "" {
		t.Fatalf("get %q: got %.80q, tag %q, error %v; want %.80q", key, got, tag, err, data)
	}
	return tag
}

func names(t *testing.T, ctx context.Context, s registry.Store, prefix string) []string {
	t.Helper()
	var all []string
	for name, err := range s.List(ctx, prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func wantNames(t *testing.T, ctx context.Context, s registry.Store, prefix string, want ...string) {
	t.Helper()
	if got := names(t, ctx, s, prefix); !slices.Equal(got, want) {
		t.Errorf("list %q: got %q, want %q", prefix, got, want)
	}
}

func testAbsent(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	_, _, err := s.Get(ctx, "a/b")
	want(t, err, manifest.KindNotFound)
	_, err = s.Fetch(ctx, "a/b")
	want(t, err, manifest.KindNotFound)
	want(t, s.PutIfUnchanged(ctx, "a/b", []byte("x"), "tag"), manifest.KindConflict)
	must(t, s.Delete(ctx, "a/b"))
	wantNames(t, ctx, s, "")
	wantNames(t, ctx, s, "a/")
}

func testRoundTrip(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	for key, data := range map[string][]byte{
		"top": []byte("x"), "a/b/c/d": {0, 1, 2, 0xff}, "a/empty": {}, "a/large": bytes.Repeat([]byte("0123456789abcdef"), registry.MaxRecord/16),
	} {
		must(t, s.PutIfAbsent(ctx, key, data))
		wantRecord(t, ctx, s, key, data)
		wantRecord(t, ctx, open(t, f, f.Location(t)), key, data)
	}
}

// oddNames are components that need care somewhere.
func oddNames() []string {
	return []string{
		"with space", " lead", "trail ", "ünïcödé", "日本", "plus+", "per%cent", "%2e", "%2F", "hash#", "quest?", "amp&=", "back\\slash", "quote'\"",
		".hidden", "...", "-dash", "~tilde", "*", "a:b", "tab\there", "CASE", "case", "con", strings.Repeat("n", 128),
	}
}

func testOddKeys(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	var all []string
	for _, name := range oddNames() {
		must(t, s.PutIfAbsent(ctx, "odd/"+name, []byte(name)))
		must(t, s.PutIfAbsent(ctx, "folders/"+name+"/x", []byte(name)))
		all = append(all, name)
	}
	for _, name := range all {
		wantRecord(t, ctx, s, "odd/"+name, []byte(name))
		wantNames(t, ctx, s, "folders/"+name+"/", "x")
	}
	slices.Sort(all)
	wantNames(t, ctx, s, "odd/", all...)
}

func testBadKeys(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	for _, key := range []string{"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b"} {
		want(t, s.PutIfAbsent(ctx, key, nil), manifest.KindInvalid)
		_, _, err := s.Get(ctx, key)
		want(t, err, manifest.KindInvalid)
		want(t, s.Delete(ctx, key), manifest.KindInvalid)
	}
	wantNames(t, ctx, s, "")
}

func testCreateOnce(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "k", []byte("first")))
	want(t, s.PutIfAbsent(ctx, "k", []byte("second")), manifest.KindConflict)
	want(t, s.PutIfAbsent(ctx, "k", []byte("first")), manifest.KindConflict)
	wantRecord(t, ctx, s, "k", []byte("first"))
}

func testChange(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "k", []byte("one")))
	first := wantRecord(t, ctx, s, "k", []byte("one"))
	must(t, s.PutIfUnchanged(ctx, "k", []byte("two"), first))
	second := wantRecord(t, ctx, s, "k", []byte("two"))
	if first == second {
		t.Errorf("two contents have one tag %q", first)
	}
	want(t, s.PutIfUnchanged(ctx, "k", []byte("three"), first), manifest.KindConflict)
	wantRecord(t, ctx, s, "k", []byte("two"))
	must(t, open(t, f, f.Location(t)).PutIfUnchanged(ctx, "k", []byte("three"), second))
	wantRecord(t, ctx, s, "k", []byte("three"))
}

func testDelete(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "a/k", []byte("one")))
	tag := wantRecord(t, ctx, s, "a/k", []byte("one"))
	must(t, s.Delete(ctx, "a/k"))
	must(t, s.Delete(ctx, "a/k"))
	_, _, err := s.Get(ctx, "a/k")
	want(t, err, manifest.KindNotFound)
	wantNames(t, ctx, s, "a/")
	wantNames(t, ctx, s, "")
	want(t, s.PutIfUnchanged(ctx, "a/k", []byte("two"), tag), manifest.KindConflict)
	must(t, s.PutIfAbsent(ctx, "a/k", []byte("two")))
	wantRecord(t, ctx, s, "a/k", []byte("two"))
}

func testTooLarge(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	if err := s.PutIfAbsent(ctx, "k", make([]byte, registry.MaxRecord+1)); err == nil {
		t.Error("a record above the limit was taken")
	}
	wantNames(t, ctx, s, "")
}

func testCanceled(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "k", []byte("one")))
	tag := wantRecord(t, ctx, s, "k", []byte("one"))
	file := localFile(t, "content")
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err := s.Get(ctx, "k")
	want(t, err, manifest.KindCanceled)
	want(t, s.PutIfAbsent(ctx, "new", nil), manifest.KindCanceled)
	want(t, s.PutIfUnchanged(ctx, "k", nil, tag), manifest.KindCanceled)
	want(t, s.Delete(ctx, "k"), manifest.KindCanceled)
	want(t, s.PutFile(ctx, "file", file), manifest.KindCanceled)
	_, err = s.Fetch(ctx, "k")
	want(t, err, manifest.KindCanceled)
	_, _, err = s.MakeTemp(ctx)
	want(t, err, manifest.KindCanceled)
	for _, err := range s.List(ctx, "") {
		want(t, err, manifest.KindCanceled)
	}
}

func localFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "local")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
