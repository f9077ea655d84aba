package s3store_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// bucket answers both listings of a bucket by pages of so many lines.
type bucket struct {
	keys       []string // sorted
	size       int
	noVersions bool // the listing of versions is refused
}

type line struct {
	key    string
	folder bool
}

// lines gives what a listing has behind a marker, and whether there is more.
func (b bucket) lines(q url.Values, marker string) (lines []line, more bool) {
	for _, key := range b.keys {
		rest, ok := strings.CutPrefix(key, q.Get("prefix"))
		if !ok {
			continue
		}
		l := line{key: key}
		if dir, _, deep := strings.Cut(rest, "/"); deep && q.Get("delimiter") == "/" {
			l = line{q.Get("prefix") + dir + "/", true}
		}
		if l.key <= marker || len(lines) > 0 && lines[len(lines)-1] == l {
			continue
		}
		if len(lines) == b.size {
			return lines, true
		}
		lines = append(lines, l)
	}
	return lines, false
}

func (b bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch q := r.URL.Query(); {
	case q.Has("versions") && b.noVersions:
		refuse(w, r, 403, "AccessDenied", "x")
	case q.Has("versions"):
		b.list(w, q, "ListVersionsResult", "Version", "key-marker", "NextKeyMarker")
	case q.Get("list-type") == "2":
		b.list(w, q, "ListBucketResult", "Contents", "continuation-token", "NextContinuationToken")
	case !slices.Contains(b.keys, strings.TrimPrefix(r.URL.Path, "/bucket/")):
		refuse(w, r, 404, "", "")
	default:
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "3")
	}
}

func (b bucket) list(w http.ResponseWriter, q url.Values, result, object, marker, next string) {
	lines, more := b.lines(q, q.Get(marker))
	fmt.Fprintf(w, "<%s><EncodingType>url</EncodingType><IsTruncated>%v</IsTruncated>", result, more)
	if more {
		last := lines[len(lines)-1].key
		if object == "Version" { // tokens are opaque, markers are keys
			last = url.QueryEscape(last)
			fmt.Fprint(w, "<NextVersionIdMarker>1</NextVersionIdMarker>")
		}
		fmt.Fprintf(w, "<%s>", next)
		_ = xml.EscapeText(w, []byte(last))
		fmt.Fprintf(w, "</%s>", next)
	}
	for _, l := range lines {
		key := url.QueryEscape(l.key)
		if l.folder {
			fmt.Fprintf(w, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", key)
			continue
		}
		fmt.Fprintf(w, `<%s><Key>%s</Key><VersionId>1</VersionId><ETag>"e"</ETag><Size>3</Size><IsLatest>true</IsLatest></%s>`, object, key, object)
	}
	fmt.Fprintf(w, "</%s>", result)
}

// TestFolders: large folders are listed by themselves, by either listing, and
// nothing is lost or given twice on the way.
func TestFolders(t *testing.T) {
	var keys []string
	for i := range 400 {
		keys = append(keys, fmt.Sprintf("dir/%c b+%%/%03d", 'a'+i/100, i))
	}
	for i := range 45 {
		keys = append(keys, fmt.Sprintf("dir/flat%02d", i), fmt.Sprintf("dir/deep/x//%02d", i))
	}
	slices.Sort(keys)
	for _, noVersions := range []bool{false, true} {
		f := backendtest.NewScripted(t, bucket{keys, 40, noVersions}.ServeHTTP)
		infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir")
		if err != nil {
			t.Fatal(err)
		}
		got := backendtest.Names(infos)
		for i := range got {
			got[i] = "dir/" + got[i]
		}
		slices.Sort(got)
		if !slices.Equal(got, keys) {
			t.Errorf("noVersions %v: got %d keys, want %d", noVersions, len(got), len(keys))
		}
		for prefix, want := range map[string]int{"a%20b%2B%25%2F": 3, "d%20b%2B%25%2F": 3, "deep%2F": 3} { // of 40, once each
			if n := f.Count("GET", "prefix=dir%2F"+prefix); n < want {
				t.Errorf("noVersions %v: %d requests for folder %s, want %d", noVersions, n, prefix, want)
			}
		}
		if n := f.Count("GET", "delimiter=%2F"); n < 2 {
			t.Errorf("noVersions %v: %d requests by level", noVersions, n)
		}
	}
}
