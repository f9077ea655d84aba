package snapshot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// s3Entry is what put records for an object in a versioned bucket.
func s3Entry(path string, i int) manifest.Entry {
	etag := fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15)
	version := fmt.Sprintf("%016x%016x", uint64(i)*0xbf58476d1ce4e5b9, i)
	return manifest.Entry{
		Path: path, Digest: etag, Ref: "s3://bucket/data/" + path, Size: int64(i) + 1,
		ModTime: time.Unix(1_700_000_000, int64(i)).UTC(),
		Extra:   map[string]any{manifest.ExtraETag: etag, manifest.ExtraVersion: version},
	}
}

// build makes a snapshot of entries and opens it.
func build(t testing.TB, o snapshot.BuilderOptions, entries ...manifest.Entry) (*snapshot.Snapshot, snapshot.Summary) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	sum := buildAt(t, path, o, entries...)
	return open(t, path), sum
}

func buildAt(t testing.TB, path string, o snapshot.BuilderOptions, entries ...manifest.Entry) snapshot.Summary {
	t.Helper()
	sum, err := tryBuild(path, o, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func tryBuild(path string, o snapshot.BuilderOptions, entries ...manifest.Entry) (snapshot.Summary, error) {
	if o.TempDir == "" {
		o.TempDir = filepath.Dir(path)
	}
	b, err := snapshot.NewBuilder(o)
	if err != nil {
		return snapshot.Summary{}, err
	}
	defer b.Close()
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			return snapshot.Summary{}, err
		}
	}
	return b.Build(context.Background(), path)
}

func open(t testing.TB, path string) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestEmpty(t *testing.T) {
	s, sum := build(t, snapshot.BuilderOptions{})
	if want := "64e7c61456b10382e2f3b571ac24b659"; sum.Digest != want {
		t.Errorf("digest: got %s, want %s", sum.Digest, want)
	}
	if sum.Files != 0 || sum.Dirs != 0 || s.Nodes() != 1 {
		t.Errorf("got %+v and %d nodes, want none and the root", sum, s.Nodes())
	}
	root, ok, err := s.Find("")
	if err != nil || !ok || !root.Dir || root.Count != 0 {
		t.Errorf("root: got %+v, %v, %v", root, ok, err)
	}
}

func TestDigestVector(t *testing.T) {
	_, sum := build(t, snapshot.BuilderOptions{}, manifest.Entry{Path: "file1.txt", Digest: "abc"})
	if want := "48237ccc050a88af9dcd869dd5a7e9f4"; sum.Digest != want {
		t.Errorf("got %s, want %s", sum.Digest, want)
	}
}

// TestDeterminism: neither the order of Add nor the memory is seen in the file.
func TestDeterminism(t *testing.T) {
	var entries []manifest.Entry
	for i := range 20_000 {
		entries = append(entries, s3Entry(fmt.Sprintf("d%d/e%d/f-%d.png", i%7, i%113, i), i))
	}
	var first []byte
	for round, memory := range []int64{0, 1, 300 << 10, 0, 1} {
		path := filepath.Join(t.TempDir(), "snapshot")
		buildAt(t, path, snapshot.BuilderOptions{MemoryBytes: memory}, entries...)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = raw
		}
		if !slices.Equal(first, raw) {
			t.Fatalf("round %d: other bytes", round)
		}
		shuffle(entries, uint64(round))
	}
}

// TestPrefixesFull: more prefixes than the table holds, met in any order.
func TestPrefixesFull(t *testing.T) {
	var entries []manifest.Entry
	for i := range 70_000 {
		entries = append(entries, manifest.Entry{Path: fmt.Sprintf("x/f%d", i), Digest: "d", Ref: fmt.Sprintf("s3://b/%d/f%d", i, i)})
		if i%2 == 1 { // a tail of its own
			entries[i].Ref += "x"
		}
	}
	entries[11].Ref = "s3://" + strings.Repeat("long", 5<<20/4) + "/f11"
	var digests []string
	for round := range 2 {
		s, sum := build(t, snapshot.BuilderOptions{}, entries...)
		digests = append(digests, sum.SHA256)
		for i := round; i < len(entries); i += 11 {
			wantEntry(t, s, entries[i])
		}
		shuffle(entries, uint64(round))
	}
	if digests[0] != digests[1] {
		t.Error("the order of Add shows in the file")
	}
}

func wantEntry(t testing.TB, s *snapshot.Snapshot, want manifest.Entry) {
	t.Helper()
	n, ok, err := s.Find(want.Path)
	if err != nil || !ok {
		t.Fatalf("find %q: %v, %v", want.Path, ok, err)
	}
	got, err := s.Entry(n.Index)
	if err != nil {
		t.Fatalf("entry %q: %v", want.Path, err)
	}
	if !sameEntry(got, want) {
		t.Fatalf("entry %q: got %+v, want %+v", want.Path, got, want)
	}
}

func TestRefused(t *testing.T) {
	file := func(p string) manifest.Entry { return manifest.Entry{Path: p, Digest: "d"} }
	for name, c := range map[string]struct {
		entries []manifest.Entry
		names   string
		kind    manifest.Kind
	}{
		"twice":        {[]manifest.Entry{file("a/b"), file("c"), file("a/b")}, "a/b", manifest.KindInvalid},
		"shadowed":     {[]manifest.Entry{file("a/b/c"), file("a/b-c"), file("a/b")}, "a/b", manifest.KindInvalid},
		"dotdot":       {[]manifest.Entry{file("a/../b")}, "a/../b", manifest.KindInvalid},
		"absolute":     {[]manifest.Entry{file("/a")}, "/a", manifest.KindInvalid},
		"nul":          {[]manifest.Entry{file("a\x00b")}, `a\x00b`, manifest.KindInvalid},
		"size":         {[]manifest.Entry{{Path: "a", Size: -2}}, "a", manifest.KindInvalid},
		"extra":        {[]manifest.Entry{{Path: "a", Extra: map[string]any{"f": func() {}}}}, "a", manifest.KindInvalid},
		"giant digest": {[]manifest.Entry{{Path: "a", Digest: strings.Repeat("x", 17<<20)}}, "a", manifest.KindLimit},
	} {
		t.Run(name, func(t *testing.T) {
			for _, memory := range []int64{0, 1} {
				dir := t.TempDir()
				_, err := tryBuild(filepath.Join(dir, "s"), snapshot.BuilderOptions{MemoryBytes: memory}, c.entries...)
				if manifest.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.names) {
					t.Errorf("got %v, want kind %v naming %s", err, c.kind, c.names)
				}
				wantNoFiles(t, dir)
			}
		})
	}
}

// TestTwiceShadowed: allowing shadows does not allow the same path twice.
func TestTwiceShadowed(t *testing.T) {
	e := manifest.Entry{Path: "a", Digest: "d"}
	_, err := tryBuild(filepath.Join(t.TempDir(), "s"), snapshot.BuilderOptions{AllowShadowed: true},
		e, manifest.Entry{Path: "a/b", Digest: "d"}, e)
	if manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("got %v, want KindInvalid", err)
	}
}

func wantNoFiles(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("%s is left", f.Name())
	}
}

func TestExists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryBuild(path, snapshot.BuilderOptions{}); !os.IsExist(unwrapAll(err)) {
		t.Errorf("got %v, want that it exists", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "mine" {
		t.Error("the file was touched")
	}
}

func TestMeta(t *testing.T) {
	want := snapshot.Meta{ExactSizes: true, Header: manifest.Header{
		StoragePolicy: "wandb-storage-policy-v1",
		StoragePolicyConfig: map[string]any{
			"storageLayout": "V2", "<&>": json.Number("12345678901234567890"), "deep": map[string]any{"x": nil},
		},
	}}
	s, _ := build(t, snapshot.BuilderOptions{Meta: want})
	if got := s.Meta(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	bad := snapshot.Meta{Header: manifest.Header{StoragePolicyConfig: map[string]any{"x": strings.Repeat("y", 2<<20)}}}
	if _, err := snapshot.NewBuilder(snapshot.BuilderOptions{Meta: bad}); manifest.KindOf(err) != manifest.KindLimit {
		t.Errorf("got %v, want KindLimit", err)
	}
}

// TestBytesPerEntry: an entry of a versioned bucket costs 120 bytes and its name
// at most, all sections and checksums counted.
func TestBytesPerEntry(t *testing.T) {
	const n = 50_000
	var names int64
	var entries []manifest.Entry
	for i := range n {
		path := fmt.Sprintf("train/class-%03d/image-%07d.jpg", i/500, i)
		entries = append(entries, s3Entry(path, i))
		names += int64(len(filepath.Base(path)))
	}
	s, _ := build(t, snapshot.BuilderOptions{}, entries...)
	per := float64(s.FileSize()-names) / n
	t.Logf("%.1f bytes an entry beside its name", per)
	if per > 120 {
		t.Errorf("got %.1f bytes an entry, want at most 120", per)
	}
}

func TestCancel(t *testing.T) {
	for _, memory := range []int64{0, 1} {
		dir := t.TempDir()
		b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, MemoryBytes: memory})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5_000 {
			if err := b.Add(s3Entry(fmt.Sprintf("f%d", i), i)); err != nil {
				t.Fatal(err)
			}
		}
		// Each further check of the context is one more place to stop at.
		for stop := 0; ; stop++ {
			ctx := &stopping{Context: context.Background(), left: stop}
			_, err := b.Build(ctx, filepath.Join(dir, "s"))
			if stop == 0 && manifest.KindOf(err) != manifest.KindCanceled {
				t.Fatalf("got %v, want KindCanceled", err)
			}
			if err == nil {
				break
			}
			wantNoFiles(t, dir)
			b.Close()
			if b, err = snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, MemoryBytes: memory}); err != nil {
				t.Fatal(err)
			}
			for i := range 5_000 {
				if err := b.Add(s3Entry(fmt.Sprintf("f%d", i), i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// stopping is canceled when it was asked more than left times.
type stopping struct {
	context.Context
	left int
}

func (s *stopping) Err() error {
	if s.left--; s.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestSpent(t *testing.T) {
	dir := t.TempDir()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Build(context.Background(), filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(manifest.Entry{Path: "a"}); err == nil {
		t.Error("Add after Build: no error")
	}
	if _, err := b.Build(context.Background(), filepath.Join(dir, "b")); err == nil {
		t.Error("a second Build: no error")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestShadowed: the directory is seen, the file is kept for the digest.
func TestShadowed(t *testing.T) {
	file := func(p, digest string) manifest.Entry { return manifest.Entry{Path: p, Digest: digest, Size: 1} }
	entries := []manifest.Entry{file("a/b/c", "1"), file("a/b", "2"), file("a", "3"), file("a-", "4"), file("a/b.x", "5")}
	s, sum := build(t, snapshot.BuilderOptions{AllowShadowed: true}, entries...)
	if sum.Shadowed != 2 || sum.Files != 5 || sum.Dirs != 2 || sum.Bytes != 5 {
		t.Errorf("got %+v, want 5 files, 2 of them shadowed, and 2 directories", sum)
	}
	if n, ok, err := s.Find("a/b"); err != nil || !ok || !n.Dir {
		t.Errorf("a/b: got %+v, %v, %v, want the directory", n, ok, err)
	}
	var got, seen []string
	for e, err := range s.Entries() {
		got = append(got, fmt.Sprint(e.Path, " ", e.Digest, err))
	}
	for n, err := range s.Walk(0) {
		seen = append(seen, fmt.Sprint(string(n.Name), err))
	}
	if want := []string{"a 3<nil>", "a- 4<nil>", "a/b 2<nil>", "a/b.x 5<nil>", "a/b/c 1<nil>"}; !slices.Equal(got, want) {
		t.Errorf("entries: got %q, want %q", got, want)
	}
	if want := []string{"a<nil>", "b<nil>", "c<nil>", "b.x<nil>", "a-<nil>"}; !slices.Equal(seen, want) {
		t.Errorf("walk: got %q, want %q", seen, want)
	}
}

// TestUnknownSize: 0 means nothing in a foreign manifest, unless the digest says
// that it does.
func TestUnknownSize(t *testing.T) {
	entries := []manifest.Entry{
		{Path: "md5", Ref: "file:///e", Digest: "1B2M2Y8AsgTpgAmY7PhCfg=="}, {Path: "own", Digest: "x"},
		{Path: "etag", Ref: "s3://b/e", Digest: "d41d8cd98f00b204e9800998ecf8427e"}, {Path: "open", Ref: "s3://b/o", Digest: "x"},
	}
	for exact, want := range map[bool]int64{false: 1, true: 0} {
		s, sum := build(t, snapshot.BuilderOptions{Meta: snapshot.Meta{ExactSizes: exact}}, entries...)
		if sum.UnknownSizes != want || s.Summary().UnknownSizes != want {
			t.Errorf("exact %v: got %d unknown sizes, want %d", exact, sum.UnknownSizes, want)
		}
		n, _, err := s.Find("open")
		if err != nil || n.Size != -want {
			t.Errorf("exact %v: got size %d, %v, want %d", exact, n.Size, err, -want)
		}
		if e, err := s.Entry(n.Index); err != nil || e.Size != 0 {
			t.Errorf("exact %v: the entry has size %d, %v, want the recorded 0", exact, e.Size, err)
		}
	}
}
