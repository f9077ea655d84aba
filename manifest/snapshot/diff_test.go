package snapshot_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

func TestDiff(t *testing.T) {
	file := func(path, digest string) manifest.Entry { return manifest.Entry{Path: path, Digest: digest} }
	a, _ := build(t, snapshot.BuilderOptions{}, file("a/b", "1"), file("a.txt", "2"), file("gone", "3"), file("same", "4"))
	moved := file("same", "4")
	moved.Ref, moved.Size = "s3://elsewhere/same", 7
	b, _ := build(t, snapshot.BuilderOptions{}, file("a/b", "x"), file("a.txt", "y"), file("new", "z"), moved)
	got := changes(t, a, b)
	want := []string{"changed a.txt 2 y", "changed a/b 1 x", "removed gone 3 ", "added new  z"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := changes(t, a, a); len(got) != 0 {
		t.Errorf("with itself: got %q", got)
	}
	for range snapshot.Diff(a, b) {
		break // a loop that ends early
	}
}

func changes(t fataler, a, b *snapshot.Snapshot) (list []string) {
	for c, err := range snapshot.Diff(a, b) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if p := cmp.Or(c.Old.Path, c.New.Path); p != c.Path {
			t.Fatalf("change of %q has the entry of %q", c.Path, p)
		}
		list = append(list, fmt.Sprintf("%v %s %s %s", c.Kind, c.Path, c.Old.Digest, c.New.Digest))
	}
	return list
}

func TestDiffModel(t *testing.T) {
	version := rapid.MapOfN(
		rapid.SampledFrom([]string{"a", "a-", "a-/b", "a.txt", "a/b", "a/b-", "a/b/c", "b", "é/x", "a!"}),
		rapid.SampledFrom([]string{"1", "2", strings.Repeat("ab", 16)}), 0, 8)
	rapid.Check(t, func(rt *rapid.T) {
		old, new := version.Draw(rt, "old"), version.Draw(rt, "new")
		dir := t.TempDir()
		a, b := buildDigests(rt, filepath.Join(dir, "a"), old), buildDigests(rt, filepath.Join(dir, "b"), new)
		defer a.Close()
		defer b.Close()
		var want []string
		for _, p := range pathsOf(old, new) {
			was, had := old[p]
			is, has := new[p]
			switch {
			case !had:
				want = append(want, fmt.Sprintf("added %s  %s", p, is))
			case !has:
				want = append(want, fmt.Sprintf("removed %s %s ", p, was))
			case was != is:
				want = append(want, fmt.Sprintf("changed %s %s %s", p, was, is))
			}
		}
		if got := changes(rt, a, b); !slices.Equal(got, want) {
			rt.Fatalf("got %q, want %q", got, want)
		}
	})
}

func pathsOf(versions ...map[string]string) (paths []string) {
	for _, v := range versions {
		for p := range v {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

func buildDigests(t *rapid.T, path string, digests map[string]string) *snapshot.Snapshot {
	var entries []manifest.Entry
	for p, d := range digests {
		entries = append(entries, manifest.Entry{Path: p, Digest: d})
	}
	if _, err := tryBuild(path, snapshot.BuilderOptions{AllowShadowed: true}, entries...); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDiffDamaged(t *testing.T) {
	raw, _ := small(t)
	path := filepath.Join(t.TempDir(), "s")
	whole, ok := openBytes(t, path, raw)
	if !ok {
		t.Fatal("can't be opened")
	}
	defer whole.Close()
	var many []manifest.Entry
	for i := range 3000 {
		many = append(many, s3Entry(fmt.Sprintf("many/%d", i), i))
	}
	raw, _ = small(t, many...)
	raw[70<<10] ^= 1
	broken, ok := openBytes(t, path+"2", raw)
	if !ok {
		t.Fatal("the flipped chunk should be found later")
	}
	defer broken.Close()
	var last error
	for _, err := range snapshot.Diff(whole, broken) {
		last = err
	}
	if manifest.KindOf(last) != manifest.KindCorrupt {
		t.Errorf("got %v, want KindCorrupt", last)
	}
}
