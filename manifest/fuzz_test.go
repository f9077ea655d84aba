package manifest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/pinfs/pinfs/manifest"
)

// What decodes can be encoded, and decodes to the same again.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		document(`{}`),
		document(`{"a/b.png":{"digest":"e","ref":"s3://b/k","size":10,"extra":{"etag":"e","versionID":"v"}}}`),
		document(`{"a":{"digest":"d","extra":{"n":-1.5e-300,"l":[null,true,{"x":[]}]},"skip_cache":true,"birthArtifactID":"x"},"b":{"digest":"d"}}`),
		document(`{"\ud83d\ude00\u2028\\\"":{"digest":"\ud800"}}`),
		document(`{"a":{"digest":"d","size":9223372036854775808}}`),
		document("{\"a\xff\":{\"digest\":\"d\"}}"),
		`{"contents":{"a":{"digest":"d"}},"x":[1,[{}]],"storagePolicyConfig":{},"storagePolicy":"p","version":1}`,
		`{"version":2}`, "\ufeff{}", `{"x":[[[[[[`, `[`, ``,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, entries, err := decode(t, text)
		var slow []manifest.Entry
		_, slowErr := manifest.Decode(iotest.OneByteReader(strings.NewReader(text)), func(e manifest.Entry) error {
			slow = append(slow, e)
			return nil
		})
		if !reflect.DeepEqual(entries, slow) || fmt.Sprint(err) != fmt.Sprint(slowErr) {
			t.Fatalf("byte by byte: got %+v (%v), want %+v (%v)", slow, slowErr, entries, err)
		}
		if err != nil {
			if manifest.KindOf(err) != manifest.KindInvalid || len(err.Error()) > 2000 || !utf8.ValidString(err.Error()) {
				t.Fatalf("got %v of %d bytes, want a line of KindInvalid: %q", manifest.KindOf(err), len(err.Error()), err)
			}
			return
		}
		for _, e := range entries {
			if manifest.CheckPath(e.Path) != nil || e.Digest == "" || e.Size < manifest.SizeUnknown {
				t.Fatalf("got %+v, which is not valid", e)
			}
		}
		again, err := encode(h, entries)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		h2, entries2, err := decode(t, again)
		if err != nil || !reflect.DeepEqual(h, h2) || !reflect.DeepEqual(entries, entries2) {
			t.Fatalf("got  %+v %+v (%v)\nwant %+v %+v", h2, entries2, err, h, entries)
		}
		if same, err := encode(h2, entries2); err != nil || same != again {
			t.Fatalf("got  %s (%v)\nwant %s", same, err, again)
		}
	})
}

// A name that parses prints as it was typed, and no part can leave its directory.
func FuzzParseName(f *testing.F) {
	for _, text := range []string{"a", "p/a:v0", "p/a:v0/x/y", "a:", ":", "/", "a/b/c", "..:..", "a b:best", "\xff", "a:v0//", "é/ü:ö", "a\u202e", "v9:64e7c61456b10382e2f3b571ac24b659"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := manifest.ParseName(text); err == nil {
			if n.String() != text {
				t.Fatalf("got %q, want %q", n, text)
			}
			for _, part := range []string{n.Artifact, n.Project + "x", n.Version + "x"} {
				if strings.Contains(part, "/") || manifest.CheckPath(part) != nil {
					t.Fatalf("part %q is no file name", part)
				}
			}
		}
		n, path, err := manifest.ParseNamePath(text)
		if err != nil {
			return
		}
		typed := n.String()
		if path != "" {
			typed += "/" + path
		}
		if typed != strings.TrimSuffix(text, "/") {
			t.Fatalf("got %q, want %q", typed, text)
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, text := range []string{"a", "a/b", "a//b", "../a", "a/.", "", "/", "a\x00", "\xff", strings.Repeat("n", 256), strings.Repeat("n/", 2048)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, p string) {
		want := p != "" && len(p) <= 4095 && !strings.Contains(p, "\x00")
		for part := range strings.SplitSeq(p, "/") {
			want = want && part != "" && part != "." && part != ".." && len(part) <= 255
		}
		if err := manifest.CheckPath(p); (err == nil) != want {
			t.Fatalf("%q: got %v, want an error: %v", p, err, !want)
		}
	})
}
