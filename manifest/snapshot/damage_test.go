package snapshot_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// contents is all that a snapshot says.
type contents struct {
	Meta    snapshot.Meta
	Summary snapshot.Summary
	Nodes   []snapshot.Node
	Entries []manifest.Entry
	Walk    []snapshot.Node
	Paths   []string
}

// most bounds what a forged snapshot can make dump do.
const most = 100_000

// dump asks a snapshot everything; an error is KindCorrupt or the test fails.
func dump(t testing.TB, s *snapshot.Snapshot) (c contents, err error) {
	t.Helper()
	defer func() {
		if err != nil && manifest.KindOf(err) != manifest.KindCorrupt {
			t.Fatalf("got %v, want KindCorrupt", err)
		}
	}()
	c.Meta, c.Summary = s.Meta(), s.Summary()
	for i := range min(s.Nodes(), most) {
		n, err := s.Node(i)
		if err != nil {
			return c, err
		}
		path, err := s.Path(i)
		if err != nil {
			return c, err
		}
		c.Nodes, c.Paths = append(c.Nodes, n), append(c.Paths, path)
		if n.Dir {
			_, _, err = s.Lookup(i, "a.txt")
		} else if _, _, err = s.Find(path); err == nil {
			_, err = s.Object(i)
		}
		if err != nil {
			return c, err
		}
	}
	for e, err := range s.Entries() {
		if c.Entries = append(c.Entries, e); err != nil {
			return c, err
		}
	}
	for n, err := range s.Walk(0) {
		if c.Walk = append(c.Walk, n); err != nil {
			return c, err
		}
	}
	return c, nil
}

// variety holds each form of each field once.
func variety() []manifest.Entry {
	list := []manifest.Entry{
		{Path: "a.txt", Digest: "d", Size: 1}, {Path: "a-b/c", Ref: "http://h/x", Digest: "http://h/x"},
		{Path: "a", Digest: "shadow", Size: 5}, {Path: "a/b", Ref: "file:///renamed", Digest: "XUFAKrxLKna5cZ2REBfFkg==", Size: 2},
		{Path: "a/c/d/e", Digest: strings.Repeat("0f", 16) + "-12", Ref: "noslash", Size: -1},
		{Path: "z", Digest: strings.Repeat("0f", 32), Extra: map[string]any{"x": "y"}, BirthArtifactID: "b", SkipCache: true},
	}
	for i := range 8 {
		list = append(list, s3Entry(fmt.Sprintf("train/%d.png", i), i))
	}
	for i, size := range []int64{64 << 10, 128 << 10, 8 << 20} {
		e := s3Entry(fmt.Sprintf("chunked/%d", i), i)
		e.Size = 300_000
		e.Chunks = chunksOf(e.Size, size, uint64(i))
		list = append(list, e)
	}
	return append(list, manifest.Entry{Path: "chunked/empty", Digest: "d", Ref: "http://h/e", Chunks: chunksOf(0, 64<<10, 0)})
}

// small builds a snapshot of variety and gives its bytes and what it says.
func small(t testing.TB, extra ...manifest.Entry) ([]byte, contents) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	buildAt(t, path, snapshot.BuilderOptions{AllowShadowed: true}, append(variety(), extra...)...)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := dump(t, open(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return raw, want
}

// openBytes opens raw as the file at path. It is written in place: to make a file
// anew for each flipped byte would take most of the time. Errors must be
// KindCorrupt, or KindUnsupported where the format is newer.
func openBytes(t testing.TB, path string, raw []byte) (*snapshot.Snapshot, bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > int64(len(raw)) {
		if err := f.Truncate(int64(len(raw))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(path)
	if err == nil {
		return s, true
	}
	if k := manifest.KindOf(err); k != manifest.KindCorrupt && k != manifest.KindUnsupported {
		t.Fatalf("got %v, want KindCorrupt", err)
	}
	return nil, false
}

// wantRightOrError: a damaged file says an error, or exactly what it held.
func wantRightOrError(t testing.TB, path string, raw []byte, want contents, what string) (failed bool) {
	t.Helper()
	s, ok := openBytes(t, path, raw)
	if !ok {
		return true
	}
	defer s.Close()
	got, err := dump(t, s)
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: wrong data", what)
	}
	return err != nil
}

func TestFlippedBytes(t *testing.T) {
	raw, want := small(t)
	path := filepath.Join(t.TempDir(), "flipped")
	for i := range raw {
		mask := byte(1) << (i % 8)
		raw[i] ^= mask
		if !wantRightOrError(t, path, raw, want, fmt.Sprintf("byte %d ^ %#x", i, mask)) {
			t.Errorf("byte %d ^ %#x: no error", i, mask)
		}
		raw[i] ^= mask
	}
}

func TestCutFile(t *testing.T) {
	raw, want := small(t)
	path := filepath.Join(t.TempDir(), "cut")
	for n := len(raw) - 1; n >= 0; n-- {
		if !wantRightOrError(t, path, raw[:n], want, fmt.Sprintf("cut at %d", n)) {
			t.Errorf("cut at %d: no error", n)
		}
	}
	longer := append(append([]byte(nil), raw...), 0)
	if !wantRightOrError(t, path, longer, want, "one byte more") {
		t.Error("one byte more: no error")
	}
}

// TestCutWhileMapped cuts the file under an open snapshot, before and after its
// chunks were checked. Where the page with the end was checked already, what is
// behind the end reads as zeros: there the cuts are at pages.
func TestCutWhileMapped(t *testing.T) {
	var many []manifest.Entry
	for i := range 3000 {
		many = append(many, s3Entry(fmt.Sprintf("many/%d", i), i))
	}
	raw, want := small(t, many...)
	path := filepath.Join(t.TempDir(), "cut")
	cut := func(n int, touched bool) {
		s, ok := openBytes(t, path, raw)
		if !ok {
			t.Fatal("the whole file can't be opened")
		}
		defer s.Close()
		if touched {
			if _, err := dump(t, s); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(path, int64(n)); err != nil {
			t.Fatal(err)
		}
		got, err := dump(t, s)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d, touched %v: wrong data", n, touched)
		}
		if err == nil && n < len(raw)-8192 {
			t.Errorf("cut at %d, touched %v: no error", n, touched)
		}
	}
	for n := 0; n < len(raw); n += 4096 * 7 {
		cut(n, true)
		cut(n+123, false)
	}
}

// reseal makes all checksums of a forged file right.
func reseal(raw []byte) {
	if len(raw) < 4096 {
		return
	}
	le, table := binary.LittleEndian, crc32.MakeTable(crc32.Castagnoli)
	for i := range min(le.Uint32(raw[76:]), 123) {
		sec := raw[128+32*i:]
		off, n := le.Uint64(sec[8:]), le.Uint64(sec[16:])
		if le.Uint32(sec) != 6 || off > uint64(len(raw)) || n > uint64(len(raw))-off || off < 4096 {
			continue
		}
		for c := uint64(0); c<<16 < off && 4*c+4 <= n; c++ {
			le.PutUint32(raw[off+4*c:], crc32.Checksum(raw[max(c<<16, 4096):min((c+1)<<16, off)], table))
		}
		le.PutUint32(raw[72:], crc32.Checksum(raw[off:off+n], table))
	}
	le.PutUint64(raw[16:], uint64(len(raw)))
	le.PutUint32(raw[4092:], crc32.Checksum(raw[:4092], table))
}

// TestForged: files whose checksums are right but whose contents are not say
// something, or an error, and come to an end.
func TestForged(t *testing.T) {
	raw, _ := small(t)
	path := filepath.Join(t.TempDir(), "forged")
	for i := range raw {
		if i >= 128+32*8 && i < 4092 {
			continue // the part of page 0 that holds nothing
		}
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			forged := append([]byte(nil), raw...)
			forged[i] ^= mask
			reseal(forged)
			if s, ok := openBytes(t, path, forged); ok {
				dump(t, s)
				s.Close()
			}
		}
	}
}

func TestOptionalSections(t *testing.T) {
	raw, want := small(t)
	path := filepath.Join(t.TempDir(), "s")
	n := binary.LittleEndian.Uint32(raw[76:])
	sec := raw[128+32*n:]
	binary.LittleEndian.PutUint32(raw[76:], n+1)
	binary.LittleEndian.PutUint32(sec, 77)
	binary.LittleEndian.PutUint64(sec[8:], 4096)
	binary.LittleEndian.PutUint32(sec[4:], 1)
	reseal(raw)
	s, ok := openBytes(t, path, raw)
	if !ok {
		t.Fatal("an optional section that is not known is refused")
	}
	if got, err := dump(t, s); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("other contents, or %v", err)
	}
	s.Close()
	binary.LittleEndian.PutUint32(sec[4:], 0)
	reseal(raw)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Open(path); manifest.KindOf(err) != manifest.KindUnsupported {
		t.Errorf("a required section that is not known: got %v, want KindUnsupported", err)
	}
}

func FuzzOpen(f *testing.F) {
	raw, _ := small(f)
	f.Add(raw, false)
	f.Add(raw, true)
	f.Add(raw[:4096], true)
	path := filepath.Join(f.TempDir(), "fuzz")
	f.Fuzz(func(t *testing.T, raw []byte, sealed bool) {
		if sealed {
			raw = append([]byte(nil), raw...)
			reseal(raw)
		}
		path := fmt.Sprintf("%s-%d", path, os.Getpid())
		if s, ok := openBytes(t, path, raw); ok {
			defer s.Close()
			dump(t, s)
		}
	})
}
