package azstore_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/manifest"
)

// answer sends status with headers, given as "Name: value" lines, and a body.
func answer(w http.ResponseWriter, r *http.Request, status int, headers, body string) {
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			w.Header().Set(strings.TrimSpace(name), value)
		}
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body)
	}
}

// TestPinsInRequests: what a read asks for, by each kind of pin.
func TestPinsInRequests(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	s := store(t, f)
	const at = "2026-01-02T03:04:05.1234567Z"
	snapshot := byETag("e", 3)
	snapshot.Ref += "?snapshot=" + at
	for name, c := range map[string]struct {
		obj                        manifest.Object
		version, snapshot, ifMatch string
	}{
		"version":          {byVersion("2026-01-01T00:00:00.0000000Z", "e", 3), "2026-01-01T00:00:00.0000000Z", "", ""},
		"hostile version":  {byVersion("a&comp=list+ #", "e", 3), "a&comp=list+ #", "", ""},
		"snapshot":         {snapshot, "", at, ""},
		"ETag":             {byETag("e", 3), "", "", `"e"`},
		"ETag with quotes": {byETag(`"e"`, 3), "", "", `"e"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := backendtest.Read(t.Context(), s, c.obj, 0, -1); err != nil || got != "abc" {
				t.Fatalf("%q, %v", got, err)
			}
			q := f.Last(t).URL.Query()
			if q.Get("versionid") != c.version || q.Get("snapshot") != c.snapshot || q.Has("comp") || f.Last(t).Header.Get("If-Match") != c.ifMatch {
				t.Errorf("asked %s, If-Match %q", f.Last(t).RequestURI, f.Last(t).Header.Get("If-Match"))
			}
			info, err := s.Stat(t.Context(), c.obj)
			if err != nil || info.Ref != c.obj.Ref || info.Digest != "e" || info.Size != 3 {
				t.Errorf("Stat: %+v, %v", info, err)
			}
			if q := f.Last(t).URL.Query(); q.Get("versionid") != c.version || q.Get("snapshot") != c.snapshot {
				t.Errorf("Stat asked %s", f.Last(t).RequestURI)
			}
		})
	}
}

// TestETagOfVersions: the ETag is compared, whatever the pin; W&B takes any bytes
// that a version id gives.
func TestETagOfVersions(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, ok))
	for _, obj := range []manifest.Object{byVersion("v", "recorded", 3), func() manifest.Object {
		o := byETag("recorded", 3)
		o.Ref += "?snapshot=2026-01-02T03:04:05.1234567Z"
		return o
	}()} {
		_, err := backendtest.Read(t.Context(), s, obj, 0, -1)
		wantError(t, err, manifest.KindChanged, "ETag is not the recorded one", "expected 'recorded' but found 'e'")
		_, err = s.Stat(t.Context(), obj)
		wantError(t, err, manifest.KindChanged, "expected 'recorded' but found 'e'")
	}
	_, err := backendtest.Read(t.Context(), s, byVersion("v", "e", 4), 0, -1)
	wantError(t, err, manifest.KindCorrupt, "expected '4 bytes' but found '3 bytes'")
	_, err = s.Stat(t.Context(), byVersion("v", "e", 4))
	wantError(t, err, manifest.KindCorrupt, "4 bytes")
}

// TestRanges: right ranges are given, and whatever is not what was asked for is refused.
func TestRanges(t *testing.T) {
	for name, c := range map[string]struct {
		status         int
		headers, body  string
		size           int64
		offset, length int64
		want           string
		kind           manifest.Kind
	}{
		"range":              {206, "ETag: \"e\"\nContent-Range: bytes 2-4/10", "cde", 10, 2, 3, "cde", 0},
		"cut at the end":     {206, "ETag: \"e\"\nContent-Range: bytes 8-9/10", "ij", 10, 8, 5, "ij", 0},
		"to the end":         {206, "ETag: \"e\"\nContent-Range: bytes 8-9/10", "ij", 10, 8, -1, "ij", 0},
		"size from range":    {206, "ETag: \"e\"\nContent-Range: bytes 2-4/10", "cde", -1, 2, 3, "cde", 0},
		"nothing at the end": {206, "ETag: \"e\"\nContent-Range: bytes 3-2/3\nContent-Length: 0", "", -1, 3, 5, "", 0},
		"other offset":       {206, "ETag: \"e\"\nContent-Range: bytes 0-2/10", "abc", 10, 2, 3, "", manifest.KindCorrupt},
		"range ignored":      {200, "ETag: \"e\"", "abcdefghij", 10, 2, 3, "", manifest.KindCorrupt},
		"other size":         {206, "ETag: \"e\"\nContent-Range: bytes 2-4/11", "cde", 10, 2, 3, "", manifest.KindCorrupt},
		"short":              {206, "ETag: \"e\"\nContent-Range: bytes 2-3/10", "cd", 10, 2, 3, "", manifest.KindCorrupt},
		"long":               {206, "ETag: \"e\"\nContent-Range: bytes 2-5/10", "cdef", 10, 2, 3, "", manifest.KindCorrupt},
		"junk range":         {206, "ETag: \"e\"\nContent-Range: bytes junk", "cde", -1, 2, 3, "", manifest.KindCorrupt},
		"other blob":         {206, "ETag: \"f\"\nContent-Range: bytes 2-4/10", "cde", 10, 2, 3, "", manifest.KindChanged},
		"not modified":       {304, "ETag: \"e\"", "", 10, 0, -1, "", manifest.KindUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					answer(w, r, 200, "ETag: \"e\"\nContent-Length: 3", "")
					return
				}
				answer(w, r, c.status, c.headers, c.body)
			}))
			got, err := backendtest.Read(t.Context(), s, byVersion("v", "e", c.size), c.offset, c.length)
			if c.kind != 0 {
				wantError(t, err, c.kind)
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// TestPastTheEnd: 416 is an empty stream, of a blob that is still the pinned one.
func TestPastTheEnd(t *testing.T) {
	for etag, kind := range map[string]manifest.Kind{"e": 0, "f": manifest.KindChanged} {
		s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				refuse(w, r, 416, "InvalidRange", "x")
				return
			}
			answer(w, r, 200, "ETag: \""+etag+"\"\nContent-Length: 3", "")
		}))
		got, err := backendtest.Read(t.Context(), s, byVersion("v", "e", manifest.SizeUnknown), 100, 10)
		if kind != 0 {
			wantError(t, err, kind)
		} else if err != nil || got != "" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// TestRefusedInside: 416 for a range that the blob has is no end of it.
func TestRefusedInside(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			refuse(w, r, 416, "InvalidRange", "x")
			return
		}
		answer(w, r, 200, "ETag: \"e\"\nContent-Length: 3", "")
	}))
	got, err := backendtest.Read(t.Context(), s, byVersion("v", "e", 3), 1, 1)
	wantError(t, err, manifest.KindUnreachable)
	if got != "" {
		t.Errorf("got %q", got)
	}
}

// TestCutBody: a body that ends early is no end of file.
func TestCutBody(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, 200, "ETag: \"e\"\nContent-Length: 10", "abcd")
	}))
	got, err := backendtest.Read(t.Context(), s, byETag("e", 10), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "6 bytes before its end")
	if got != "abcd" {
		t.Errorf("got %q", got)
	}
}

// TestSums: only the MD5 of a block blob is one of its content, and of a range's
// answer only the header that is the blob's.
func TestSums(t *testing.T) {
	sum := md5.Sum([]byte("abc"))
	text := base64.StdEncoding.EncodeToString(sum[:])
	for name, c := range map[string]struct {
		headers string
		want    bool
	}{
		"block blob":   {"x-ms-blob-type: BlockBlob\nContent-MD5: " + text, true},
		"of the blob":  {"x-ms-blob-type: BlockBlob\nx-ms-blob-content-md5: " + text, true},
		"none":         {"x-ms-blob-type: BlockBlob", false},
		"append blob":  {"x-ms-blob-type: AppendBlob\nContent-MD5: " + text, false},
		"page blob":    {"x-ms-blob-type: PageBlob\nContent-MD5: " + text, false},
		"short":        {"x-ms-blob-type: BlockBlob\nContent-MD5: AAAA", false},
		"of the range": {"x-ms-blob-type: BlockBlob\nContent-Range: bytes 0-2/3\nContent-MD5: " + text, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				answer(w, r, 200, "ETag: \"e\"\nContent-Length: 3\n"+c.headers, "abc")
			}))
			body, info, err := s.Open(t.Context(), byETag("e", 3), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got := len(info.Sums) == 1 && info.Sums[0].Alg == manifest.SumMD5 && bytes.Equal(info.Sums[0].Value, sum[:]); got != c.want {
				t.Errorf("sums %v", info.Sums)
			}
		})
	}
}

// older answers like an account whose blob was overwritten: the current ETag is
// "new", the old one is that of what include lists.
func older(include, line, query string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case q.Get("comp") == "list" && q.Get("include") == include:
			_, _ = io.WriteString(w, listing("", blob("dir/key", `<VersionId>v0</VersionId>`, `"other"`), blob("dir/key", line, `"old"`), blob("dir/key2", "<VersionId>v9</VersionId>", `"old"`)))
		case q.Get("comp") == "list":
			refuse(w, r, 403, "AuthorizationFailure", "x")
		case strings.Contains(r.RequestURI, query):
			answer(w, r, 200, "ETag: \"old\"\nContent-Length: 3", "abc")
		case r.Header.Get("If-Match") == `"new"` || r.Header.Get("If-Match") == "":
			answer(w, r, 200, "ETag: \"new\"\nContent-Length: 3", "xyz")
		default:
			refuse(w, r, 412, "ConditionNotMet", "x")
		}
	}
}

// TestOlder: an ETag that is no longer the current one is looked for among
// versions, then snapshots, once for all ranges of a file.
func TestOlder(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"version":  older("versions", "<VersionId>v1</VersionId>", "versionid=v1"),
		"snapshot": older("snapshots", "<Snapshot>2026-01-02T03:04:05.1234567Z</Snapshot>", "snapshot=2026-01-02"),
	} {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewScripted(t, handler)
			s := store(t, f)
			for range 3 {
				if got, err := backendtest.Read(t.Context(), s, byETag("old", 3), 0, -1); err != nil || got != "abc" {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			if n := f.Count("GET", "comp=list"); n > 2 {
				t.Errorf("%d searches: %q", n, f.Lines())
			}
			info, err := s.Stat(t.Context(), byETag("old", 3))
			if err != nil || info.Ref != "azblob://acct/cont/dir/key" {
				t.Errorf("Stat: %+v, %v", info, err)
			}
			_, err = s.Stat(t.Context(), byETag("lost", 3))
			wantError(t, err, manifest.KindChanged, "expected 'lost' but found 'new'")
			_, err = backendtest.Read(t.Context(), s, byETag("lost", 3), 0, -1)
			wantError(t, err, manifest.KindChanged, "expected 'lost' but found 'new'")
		})
	}
}

// TestOlderUnknown: while a search fails nobody knows, and so it is tried again.
func TestOlderUnknown(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("comp") == "list" {
			refuse(w, r, 503, "ServerBusy", "x")
			return
		}
		answer(w, r, 200, "ETag: \"new\"\nContent-Length: 3", "xyz")
	}))
	_, err := s.Stat(t.Context(), byETag("old", 3))
	wantError(t, err, manifest.KindThrottled)
}

// TestUnpinned: nobody knows which bytes such a reference means.
func TestUnpinned(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	s := store(t, f)
	obj := manifest.Entry{Ref: "azblob://acct/cont/key", Digest: "azblob://acct/cont/key", Size: 3}.Object()
	_, err := s.Stat(t.Context(), obj)
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, obj, 0, -1)
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, byETag("e", 3), -1, -1)
	wantError(t, err, manifest.KindInvalid)
	if n := len(f.Lines()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestStacked: under the wrapper, a cut body is resumed at its offset and pin.
func TestStacked(t *testing.T) {
	data := strings.Repeat("0123456789", 80)
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("X-Ms-Range"), "bytes=%d-%d", &from, &to); err != nil {
			to = len(data) - 1
		}
		answer(w, r, 206, fmt.Sprintf("ETag: \"e\"\nContent-Length: %d\nContent-Range: bytes %d-%d/%d", to+1-from, from, to, len(data)), data[from:min(from+300, to+1)])
	})
	b := backends.WithRetry(store(t, f), backendtest.FastRetry())
	body, _, err := b.Open(t.Context(), byETag("e", int64(len(data))), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || string(got) != data {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if n := len(f.Lines()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
