package snapshot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

func shuffle(entries []manifest.Entry, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
}

// sameEntry compares all fields; of times the instant.
func sameEntry(a, b manifest.Entry) bool {
	times := a.ModTime.Equal(b.ModTime)
	a.ModTime, b.ModTime = time.Time{}, time.Time{}
	return times && reflect.DeepEqual(a, b)
}

func unwrapAll(err error) error {
	for errors.Unwrap(err) != nil {
		if _, ok := err.(interface{ Timeout() bool }); ok {
			return err
		}
		err = errors.Unwrap(err)
	}
	return err
}

// names that are neighbours of each other in one order or the other.
var nasty = []string{
	"a", "a-", "a-b", "a--", "a.", "a.txt", "a b", "a!", "a/", "aa", "a0", "a\x01", "a\xff", "b", "...", "..a", " ", "ä", "日本", "a+b", "%2e", "#", "?x=1",
	"\xff\xfe", strings.Repeat("n", 255), strings.Repeat("n", 254), strings.Repeat("n", 254) + "-",
}

func drawName(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "kind") > 0 {
		return strings.TrimSuffix(rapid.SampledFrom(nasty).Draw(t, "nasty"), "/")
	}
	return rapid.StringMatching(`[a-c\-.!0~é]{1,4}`).Filter(func(s string) bool { return s != "." && s != ".." }).Draw(t, "name")
}

func drawPath(t *rapid.T) string {
	for {
		parts := rapid.SliceOfN(rapid.Custom(drawName), 1, 5).Draw(t, "parts")
		if rapid.IntRange(0, 200).Draw(t, "deep") == 200 {
			parts = append(parts, strings.Split(strings.Repeat("d/", 200)+"d", "/")...)
		}
		if p := strings.Join(parts, "/"); manifest.CheckPath(p) == nil {
			return p
		}
	}
}

func drawDigest(t *rapid.T, ref string) string {
	hex := rapid.StringMatching(`[0-9a-f]{32}`)
	switch rapid.IntRange(0, 8).Draw(t, "digest kind") {
	case 0:
		return ref
	case 1:
		return hex.Draw(t, "hex") + rapid.SampledFrom([]string{"-0", "-1", "-10000", "-007", "-", "-18446744073709551616", "-+1", "-x"}).Draw(t, "parts")
	case 2:
		return rapid.SampledFrom([]string{"XUFAKrxLKna5cZ2REBfFkg==", "XUFAKrxLKna5cZ2REBfFkh==", "XUFAKrxLKna5cZ2REBfF\nkg=", "1B2M2Y8AsgTpgAmyPhCfg==\n"}).Draw(t, "b64")
	case 3:
		return strings.ToUpper(hex.Draw(t, "upper"))
	case 4:
		return hex.Draw(t, "hex a") + hex.Draw(t, "hex b")
	case 5:
		return rapid.String().Draw(t, "text")
	}
	return hex.Draw(t, "etag")
}

func drawRef(t *rapid.T, path string) string {
	parts := strings.Split(path, "/")
	switch rapid.IntRange(0, 6).Draw(t, "ref kind") {
	case 0:
		return ""
	case 1:
		return "s3://bucket/" + path
	case 2:
		return "gs://bucket/other/" + strings.Join(parts[rapid.IntRange(0, len(parts)-1).Draw(t, "from"):], "/")
	case 3:
		return "file:///x" + path
	case 4:
		return rapid.SampledFrom([]string{"https://host/renamed?a=b", "noslash", "/", path, "a/", "x" + path, "http://h/é/" + parts[len(parts)-1]}).Draw(t, "odd")
	}
	return "s3://bucket/" + rapid.StringMatching(`[ab/]{0,6}`).Draw(t, "key")
}

func drawExtra(t *rapid.T, digest string) map[string]any {
	switch rapid.IntRange(0, 5).Draw(t, "extra kind") {
	case 0:
		return nil
	case 1:
		return map[string]any{}
	}
	m := map[string]any{}
	if rapid.Bool().Draw(t, "etag?") {
		m["etag"] = rapid.SampledFrom([]any{digest, `"` + digest + `"`, `W/"` + digest + `"`, "", nil, json.Number("1"), `"`}).Draw(t, "etag")
	}
	if rapid.Bool().Draw(t, "version?") {
		m["versionID"] = rapid.SampledFrom([]any{
			"3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbr_", "a b", "", "null", nil, json.Number("1700000000000123"), json.Number("18446744073709551616"),
			json.Number("-1"), json.Number("1.0"), json.Number("0"), "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
			"2024-01-01T00:00:00.0000000Z", strings.Repeat("v", 255), strings.Repeat("v", 256),
		}).Draw(t, "version")
	}
	if rapid.Bool().Draw(t, "pins?") {
		m["lastModified"] = rapid.SampledFrom([]any{"Sat, 28 Nov 2026 10:00:00 GMT", "", json.Number("1")}).Draw(t, "modified")
		m["source"] = rapid.SampledFrom([]any{"s3://b/k", "", nil}).Draw(t, "source")
		m["checksums"] = rapid.SampledFrom([]any{map[string]any{"crc32c": "00000000"}, map[string]any{"crc32c": "0"}, "x"}).Draw(t, "sums")
	}
	if rapid.Bool().Draw(t, "rest?") {
		m["x"] = map[string]any{"deep": []any{"<&>\u2028", json.Number("1e400"), true, nil, map[string]any{}}}
	}
	return m
}

func drawEntry(t *rapid.T) manifest.Entry {
	e := manifest.Entry{Path: drawPath(t)}
	e.Ref = drawRef(t, e.Path)
	e.Digest = drawDigest(t, e.Ref)
	e.Size = rapid.SampledFrom([]int64{0, 1, manifest.SizeUnknown, math.MaxInt64, 12345, 3<<20 + 1, 230 << 20}).Draw(t, "size")
	if e.Size >= 0 && e.Size < 1<<40 && rapid.IntRange(0, 2).Draw(t, "chunks?") == 0 {
		e.Chunks = chunksOf(e.Size, rapid.SampledFrom([]int64{64 << 10, 1 << 20, 8 << 20}).Draw(t, "chunk"), rapid.Uint64Range(0, 3).Draw(t, "seed"))
	}
	e.ModTime = rapid.SampledFrom([]time.Time{
		{}, time.Unix(0, 0), time.Unix(1700000000, 5), time.Unix(-1, 0), time.Date(1600, 1, 2, 3, 4, 5, 6, time.UTC),
		time.Date(9999, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600)), time.Unix(0, math.MaxInt64), time.Unix(0, math.MinInt64),
	}).Draw(t, "time")
	e.Extra = drawExtra(t, e.Digest)
	e.BirthArtifactID = rapid.SampledFrom([]string{"", "QXJ0aWZhY3Q6MQ=="}).Draw(t, "birth")
	e.SkipCache = rapid.Bool().Draw(t, "skip")
	return e
}

// model is a snapshot as maps.
type model struct {
	files    map[string]manifest.Entry
	children map[string][]string // of directories, sorted, without shadowed files
}

func newModel(entries []manifest.Entry) model {
	m := model{map[string]manifest.Entry{}, map[string][]string{"": nil}}
	for _, e := range entries {
		m.files[e.Path] = e
		for p, dir := e.Path, ""; p != ""; p = dir {
			dir = parentOf(p)
			if name := strings.TrimPrefix(p[len(dir):], "/"); !slices.Contains(m.children[dir], name) {
				m.children[dir] = append(m.children[dir], name)
			}
		}
	}
	for dir := range m.children {
		slices.Sort(m.children[dir])
	}
	return m
}

func parentOf(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

// isDir tells a directory.
func (m model) isDir(p string) bool { _, ok := m.children[p]; return ok }

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		entries := rapid.SliceOfNDistinct(rapid.Custom(drawEntry), 0, 40, func(e manifest.Entry) string { return e.Path }).Draw(rt, "entries")
		m := newModel(entries)
		memory := rapid.SampledFrom([]int64{0, 1}).Draw(rt, "memory")
		exact := rapid.Bool().Draw(rt, "exact")
		path := filepath.Join(t.TempDir(), fmt.Sprint(rapid.Uint64().Draw(rt, "file")))
		o := snapshot.BuilderOptions{AllowShadowed: true, MemoryBytes: memory, TempDir: t.TempDir(), Meta: snapshot.Meta{ExactSizes: exact}}
		sum, err := tryBuild(path, o, entries...)
		if err != nil {
			rt.Fatal(err)
		}
		s, err := snapshot.Open(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		m.checkNodes(rt, s)
		m.checkLookups(rt, s)
		m.checkEntries(rt, s)
		m.checkWalk(rt, s)
		m.checkSummary(rt, s, sum)
	})
}

type fataler interface {
	Fatalf(string, ...any)
	Helper()
}

func must[T any](t fataler) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
}

func (m model) checkNodes(t fataler, s *snapshot.Snapshot) {
	seen := map[string]bool{}
	for i := range s.Nodes() {
		n := must[snapshot.Node](t)(s.Node(i))
		path := must[string](t)(s.Path(i))
		key := fmt.Sprint(path, n.Dir)
		if seen[key] {
			t.Fatalf("%q is there twice", path)
		}
		seen[key] = true
		if n.Dir {
			m.checkDir(t, s, n, path)
			checkChildren(t, s, n)
			continue
		}
		want, ok := m.files[path]
		if !ok || n.Shadowed != m.isDir(path) {
			t.Fatalf("node %q: %+v", path, n)
		}
		if got := must[manifest.Entry](t)(s.Entry(i)); !sameEntry(got, want) {
			t.Fatalf("entry %q: got %#v, want %#v", path, got, want)
		}
		m.checkFile(t, s, n, want)
	}
	if len(seen) != len(m.files)+len(m.children) {
		t.Fatalf("got %d nodes, want %d", len(seen), len(m.files)+len(m.children))
	}
}

// checkChildren compares Children, from each child on and in runs of each length,
// with Node and Stat.
func checkChildren(t fataler, s *snapshot.Snapshot, dir snapshot.Node) {
	for from := range dir.Count + 2 {
		for room := range 4 {
			var got []snapshot.Node
			err := s.Children(dir.Index, from, func(n *snapshot.Node) bool {
				kept := *n
				kept.Name = bytes.Clone(n.Name)
				got = append(got, kept)
				return len(got) <= room
			})
			if want := min(room+1, int(dir.Count-min(from, dir.Count))); err != nil || len(got) != want {
				t.Fatalf("Children of %d from %d on: %d of %d, want %d; %v", dir.Count, from, len(got), room+1, want, err)
			}
			for k, got := range got {
				want := must[snapshot.Node](t)(s.Node(dir.First + from + uint32(k)))
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("Children gives %+v, Node %+v", got, want)
				}
				if want.Name = nil; !reflect.DeepEqual(must[snapshot.Node](t)(s.Stat(got.Index)), want) {
					t.Fatalf("Stat and Node differ: %+v", want)
				}
			}
		}
	}
}

func (m model) checkFile(t fataler, s *snapshot.Snapshot, n snapshot.Node, e manifest.Entry) {
	size := e.Size
	if size == 0 && e.Ref != "" && !s.Meta().ExactSizes && e.Chunks.Size == 0 {
		size = manifest.SizeUnknown
	}
	o := must[manifest.Object](t)(s.Object(n.Index))
	want := e.Object()
	want.Size = size
	if n.Size != size || o != want {
		t.Fatalf("%q: size %d, object %+v, want %+v", e.Path, n.Size, o, want)
	}
	if !e.ModTime.IsZero() && time.Unix(0, e.ModTime.UnixNano()).Equal(e.ModTime) && n.ModTime != e.ModTime.UnixNano() {
		t.Fatalf("%q: time %d, want %v", e.Path, n.ModTime, e.ModTime)
	}
}

func (m model) checkDir(t fataler, s *snapshot.Snapshot, dir snapshot.Node, path string) {
	var got []string
	var dirs uint32
	for i := dir.First; i < dir.First+dir.Count; i++ {
		n := must[snapshot.Node](t)(s.Node(i))
		if n.Parent != dir.Index {
			t.Fatalf("%q: child %q has parent %d", path, n.Name, n.Parent)
		}
		if n.Dir {
			dirs++
		}
		if !n.Shadowed {
			got = append(got, string(n.Name))
		} else if len(got) == 0 || got[len(got)-1] != string(n.Name) {
			t.Fatalf("%q: shadowed %q is not behind its directory", path, n.Name)
		}
	}
	if want := m.children[path]; !slices.Equal(got, want) || dirs != dir.Dirs {
		t.Fatalf("children of %q: got %q (%d dirs of %d), want %q", path, got, dirs, dir.Dirs, want)
	}
}

func (m model) checkLookups(t fataler, s *snapshot.Snapshot) {
	for dir, names := range m.children {
		d, ok, err := s.Find(dir)
		if err != nil || !ok || !d.Dir {
			t.Fatalf("find %q: %+v, %v, %v", dir, d, ok, err)
		}
		for _, name := range names {
			n, ok, err := s.Lookup(d.Index, name)
			path := strings.TrimPrefix(dir+"/"+name, "/")
			if err != nil || !ok || string(must[snapshot.Node](t)(s.Node(n.Index)).Name) != name || n.Dir != m.isDir(path) || n.Parent != d.Index {
				t.Fatalf("lookup %q in %q: %+v, %v, %v", name, dir, n, ok, err)
			}
			if found, ok, err := s.Find(path); err != nil || !ok || found.Index != n.Index {
				t.Fatalf("find %q: %+v, %v, %v", path, found, ok, err)
			}
		}
		for _, name := range append([]string{"", ".", "..", "zzz", "a/b"}, nasty...) {
			if _, ok, err := s.Lookup(d.Index, name); err != nil || ok != slices.Contains(names, name) {
				t.Fatalf("lookup %q in %q: %v, %v", name, dir, ok, err)
			}
		}
	}
	for _, path := range []string{"/", "//", "zzz/y", "a//b", "./a", "a/"} {
		if _, ok, err := s.Find(path); ok || err != nil {
			t.Fatalf("find %q: %v, %v", path, ok, err)
		}
	}
}

func (m model) checkEntries(t fataler, s *snapshot.Snapshot) {
	var got, want []string
	for e, err := range s.Entries() {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !sameEntry(e, m.files[e.Path]) {
			t.Fatalf("got %#v, want %#v", e, m.files[e.Path])
		}
		got = append(got, e.Path)
	}
	for p := range m.files {
		want = append(want, p)
	}
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Fatalf("entries: got %q, want %q", got, want)
	}
}

func (m model) checkWalk(t fataler, s *snapshot.Snapshot) {
	for dir := range m.children {
		if strings.Count(dir, "/") > 6 && strings.HasSuffix(dir, "d/d") {
			continue // each level of a deep tree walked from each other takes too long
		}
		d, _, err := s.Find(dir)
		if err != nil {
			t.Fatalf("%v", err)
		}
		var got []string
		for n, err := range s.Walk(d.Index) {
			if err != nil {
				t.Fatalf("%v", err)
			}
			path := must[string](t)(s.Path(n.Index))
			if string(n.Name) != path[strings.LastIndexByte(path, '/')+1:] {
				t.Fatalf("%q has name %q", path, n.Name)
			}
			got = append(got, path)
		}
		if want := m.walk(dir, nil); !slices.Equal(got, want) {
			t.Fatalf("walk %q: got %q, want %q", dir, got, want)
		}
	}
}

func (m model) walk(dir string, list []string) []string {
	for _, name := range m.children[dir] {
		path := strings.TrimPrefix(dir+"/"+name, "/")
		list = append(list, path)
		if m.isDir(path) {
			list = m.walk(path, list)
		}
	}
	return list
}

func (m model) checkSummary(t fataler, s *snapshot.Snapshot, built snapshot.Summary) {
	want := snapshot.Summary{Files: int64(len(m.files)), Dirs: int64(len(m.children)) - 1}
	h := manifest.NewHasher()
	var paths []string
	for p := range m.files {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		e := m.files[p]
		if err := h.Add(p, e.Digest); err != nil {
			t.Fatalf("%v", err)
		}
		if m.isDir(p) {
			want.Shadowed++
		}
		if e.Digest == e.Ref && manifest.SourceOf(e.Ref) != manifest.SourceNone && e.Ref != "" && e.Object().Pin.Kind == manifest.PinNone {
			want.Unpinned++
		}
		if e.Size == manifest.SizeUnknown || e.Size == 0 && e.Ref != "" && !s.Meta().ExactSizes && e.Chunks.Size == 0 {
			want.UnknownSizes++
		} else {
			want.Bytes += min(e.Size, math.MaxInt64-want.Bytes)
		}
	}
	want.Digest = h.Sum()
	want.Pins = m.pins(paths)
	if got := s.Summary(); got != want {
		t.Fatalf("summary: got %+v, want %+v", got, want)
	}
	if want.SHA256 = built.SHA256; built != want || len(built.SHA256) != 64 {
		t.Fatalf("built: got %+v, want %+v", built, want)
	}
}
