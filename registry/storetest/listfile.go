package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/registry"
)

func testList(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	for _, key := range []string{"a/1", "a/2", "a/sub/x", "a/sub/y", "a/sub/deep/z", "ab/1", "b"} {
		must(t, s.PutIfAbsent(ctx, key, []byte(key)))
	}
	must(t, s.PutFile(ctx, "files/f", localFile(t, "content")))
	wantNames(t, ctx, s, "", "a/", "ab/", "b", "files/")
	wantNames(t, ctx, s, "a/", "1", "2", "sub/")
	wantNames(t, ctx, s, "a/sub/", "deep/", "x", "y")
	wantNames(t, ctx, s, "files/", "f")
	wantNames(t, ctx, s, "no/")
	must(t, s.Delete(ctx, "a/sub/deep/z"))
	wantNames(t, ctx, s, "a/sub/", "x", "y")
	for range s.List(ctx, "a/") {
		break // ending early must be possible
	}
}

func testListMany(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	const many = 1100 // more than a page of a bucket's listing
	var all []string
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range many {
		name := fmt.Sprintf("%d.json", i)
		g.Go(func() error { return s.PutIfAbsent(gctx, "many/"+name, []byte(name)) })
		all = append(all, name)
	}
	must(t, g.Wait())
	slices.Sort(all)
	wantNames(t, ctx, s, "many/", all...)
}

func wantFile(t *testing.T, ctx context.Context, s registry.Store, key, content string) {
	t.Helper()
	path, err := s.Fetch(ctx, key)
	must(t, err)
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Fatalf("fetch %q: got %.80q, error %v; want %.80q", key, got, err, content)
	}
}

func testFile(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	content := strings.Repeat("snapshot", 1<<18)
	for range 2 { // absent, then equal
		dir, remove, err := s.MakeTemp(ctx)
		must(t, err)
		local := filepath.Join(dir, "new")
		must(t, os.WriteFile(local, []byte(content), 0o600))
		must(t, s.PutFile(ctx, "snapshots/abc", local))
		remove()
		wantFile(t, ctx, s, "snapshots/abc", content)
		wantFile(t, ctx, open(t, f, f.Location(t)), "snapshots/abc", content)
	}
	wantNames(t, ctx, s, "snapshots/", "abc")
}

func testFileFromElsewhere(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	local := localFile(t, "content")
	must(t, s.PutFile(ctx, "snapshots/abc", local))
	must(t, s.PutFile(ctx, "snapshots/empty", localFile(t, "")))
	os.Remove(local)
	wantFile(t, ctx, s, "snapshots/abc", "content")
	wantFile(t, ctx, s, "snapshots/empty", "")
	must(t, s.Delete(ctx, "snapshots/abc"))
	wantNames(t, ctx, s, "snapshots/", "empty")
	if err := s.PutFile(ctx, "snapshots/none", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was stored")
	}
	wantNames(t, ctx, s, "snapshots/", "empty")
}

func testTemp(t *testing.T, ctx context.Context, _ Fixture, s registry.Store) {
	one, removeOne, err := s.MakeTemp(ctx)
	must(t, err)
	two, removeTwo, err := s.MakeTemp(ctx)
	must(t, err)
	defer removeTwo()
	if one == two {
		t.Fatalf("two temporary folders are one: %s", one)
	}
	must(t, os.MkdirAll(filepath.Join(one, "some/deep"), 0o777))
	must(t, os.WriteFile(filepath.Join(one, "some/deep/file"), nil, 0o666))
	wantNames(t, ctx, s, "")
	removeOne()
	if _, err := os.Lstat(one); !os.IsNotExist(err) {
		t.Errorf("after remove: got %v, want that nothing is left of %s", err, one)
	}
	if _, err := os.Lstat(two); err != nil {
		t.Errorf("the other folder: %v", err)
	}
}
