package s3store_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

func version(key, id string, size int, latest bool) string {
	return fmt.Sprintf(`<Version><Key>%s</Key><VersionId>%s</VersionId><ETag>"e-%s"</ETag><Size>%d</Size><IsLatest>%v</IsLatest><LastModified>2026-01-02T03:04:05.000Z</LastModified></Version>`,
		key, id, id, size, latest)
}

func versions(next string, lines ...string) string {
	more := ""
	if next != "" {
		more = "<IsTruncated>true</IsTruncated><NextKeyMarker>" + next + "</NextKeyMarker><NextVersionIdMarker>x</NextVersionIdMarker>"
	}
	return "<ListVersionsResult>" + more + strings.Join(lines, "") + "</ListVersionsResult>"
}

// pages answers a listing of versions by its key marker.
func pages(byMarker map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			refuse(w, r, 404, "", "")
			return
		}
		fmt.Fprint(w, byMarker[r.URL.Query().Get("key-marker")])
	}
}

// TestVersionPages: only current versions count, a page may have none, a key that
// two pages give counts once, and "null" is no version.
func TestVersionPages(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{
		"":      versions("dir/b", version("dir/", "0", 0, true), version("dir/a", "2", 3, true), version("dir/a", "1", 3, false), version("dir/b", "null", 3, true)),
		"dir/b": versions("dir/c", version("dir/b", "null", 3, true), version("dir/c", "5", 3, false), version("dir/c", "4", 3, false)),
		"dir/c": versions("dir/d", version("dir/c", "3", 3, false), "<DeleteMarker><Key>dir/cc</Key><IsLatest>true</IsLatest></DeleteMarker>"),
		"dir/d": versions("", version("dir/e/f", "9", 3, true), version("other", "9", 3, true)),
	}))
	infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := backendtest.Names(infos), []string{"a", "b", "e/f"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	a, b := infos[0], infos[1]
	if a.Ref != "s3://bucket/dir/a" || a.Digest != "e-2" || a.Extra["versionID"] != "2" || a.Extra["etag"] != "e-2" || a.Size != 3 || a.Single ||
		!a.ModTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("a: %+v", a)
	}
	if _, has := b.Extra["versionID"]; has {
		t.Errorf("b: %+v", b)
	}
	if n := f.Count("GET", "versions"); n != 4 {
		t.Errorf("%d pages fetched, want 4", n)
	}
}

// TestPageRetry: a page that fails in the middle is asked for again by itself.
func TestPageRetry(t *testing.T) {
	var failures atomic.Int32
	answer := pages(map[string]string{
		"":      versions("dir/a", version("dir/a", "1", 3, true)),
		"dir/a": versions("", version("dir/b", "1", 3, true)),
	})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("key-marker") == "dir/a" && failures.Add(1) <= 2 {
			refuse(w, r, 503, "SlowDown", "x")
			return
		}
		answer(w, r)
	})
	infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a", "b"}) {
		t.Fatalf("%q, %v", backendtest.Names(infos), err)
	}
	failures.Store(-100)
	_, err = backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
	wantError(t, err, manifest.KindThrottled, "3 attempts")
}

// TestStuck: a server that gives the same page for ever ends a listing.
func TestStuck(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{
		"":      versions("dir/a", version("dir/a", "1", 3, true)),
		"dir/a": versions("dir/a", version("dir/a", "1", 3, true)),
	}))
	_, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
	wantError(t, err, manifest.KindUnreachable, "where to go on")
	if n := len(f.Lines()); n > 3 {
		t.Errorf("%d requests", n)
	}
}

// TestFnEnds: an error of fn comes back as it is, and few pages were fetched ahead.
func TestFnEnds(t *testing.T) {
	var page atomic.Int32
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		n := page.Add(1)
		fmt.Fprint(w, versions(fmt.Sprintf("dir/%06d", n), version(fmt.Sprintf("dir/%06d", n), "1", 3, true)))
	})
	want := errors.New("enough")
	calls := 0
	err := store(t, f).List(t.Context(), "s3://bucket/dir/", func(backends.Info) error {
		if calls++; calls == 3 {
			return want
		}
		return nil
	})
	if err != want || calls != 3 || page.Load() > 6 {
		t.Errorf("%v after %d calls and %d pages", err, calls, page.Load())
	}
}

// plain serves ListObjectsV2 and HEAD of dir/a, dir/b and dir/c; versions as told.
func plain(withVersions bool, refuseVersions http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("versions"):
			refuseVersions(w, r)
		case q.Get("list-type") == "2":
			fmt.Fprint(w, "<ListBucketResult>")
			for _, k := range []string{"a", "b", "c"} {
				fmt.Fprintf(w, `<Contents><Key>dir/%s</Key><ETag>"old-%s"</ETag><Size>3</Size></Contents>`, k, k)
			}
			fmt.Fprint(w, "</ListBucketResult>")
		case r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/c"):
			refuse(w, r, 404, "", "") // deleted meanwhile
		case r.Method == http.MethodHead:
			w.Header().Set("ETag", `"new"`)
			w.Header().Set("Content-Length", "4")
			if withVersions {
				w.Header().Set("X-Amz-Version-Id", "v")
			}
		}
	}
}

// TestPlain: where versions can't be listed, HEADs find them; where there are
// none, one HEAD finds that out.
func TestPlain(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"denied":        func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 403, "AccessDenied", "x") },
		"not known":     func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 501, "NotImplemented", "x") },
		"not allowed":   func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 405, "MethodNotAllowed", "x") },
		"not looked at": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<ListBucketResult></ListBucketResult>") },
	} {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewScripted(t, plain(true, handler))
			infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
			if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a", "b"}) {
				t.Fatalf("%q, %v", backendtest.Names(infos), err)
			}
			if i := infos[0]; i.Digest != "new" || i.Extra["versionID"] != "v" || i.Size != 4 {
				t.Errorf("%+v", i)
			}
			f = backendtest.NewScripted(t, plain(false, handler))
			infos, err = backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
			if err != nil || len(infos) != 3 || infos[0].Digest != "old-a" {
				t.Errorf("%+v, %v", infos, err)
			}
			if n := f.Count("HEAD", ""); n != 1 {
				t.Errorf("%d HEADs, want 1", n)
			}
		})
	}
}

// TestMarkers: an empty object is a file unless its HEAD says folder.
func TestMarkers(t *testing.T) {
	folder := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			fmt.Fprint(w, versions("", version("dir/empty", "1", 0, true), version("dir/s3fs", "1", 0, true), version("dir/slash/", "1", 0, true),
				version("dir/unseen", "1", 0, true)))
			return
		}
		switch r.URL.Path {
		case "/bucket/dir/s3fs":
			w.Header().Set("Content-Type", "application/x-directory")
		case "/bucket/dir/unseen":
			refuse(w, r, 403, "", "")
			return
		case "/bucket/dir":
			w.WriteHeader(404)
			return
		}
		w.Header().Set("ETag", `"e"`)
	}
	f := backendtest.NewScripted(t, folder)
	infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"empty", "unseen"}) {
		t.Errorf("%q, %v", backendtest.Names(infos), err)
	}
	// A folder by its own name is a prefix, and all below it is markers.
	_, err = backendtest.List(t.Context(), store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", "application/x-directory")
			return
		}
		fmt.Fprint(w, versions("", version("dir/s3fs/", "1", 0, true)))
	})), "s3://bucket/dir/s3fs")
	wantError(t, err, manifest.KindNoSource, "only folder markers")
}

// TestEncodedKeys: keys that XML can't carry come coded, if the server says so;
// else a '%' is one.
func TestEncodedKeys(t *testing.T) {
	for encoding, want := range map[string]string{"url": "a b\x01+%", "": "a+b%01%2B%25"} {
		const key = "dir/a+b%01%2B%25"
		f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("encoding-type") != "url" {
				t.Errorf("%s", r.RequestURI)
			}
			switch q.Get("key-marker") {
			case "":
				fmt.Fprint(w, strings.Replace(versions(key, version(key, "1", 3, true)), "<IsT", "<EncodingType>"+encoding+"</EncodingType><IsT", 1))
			case "dir/" + want:
				fmt.Fprint(w, versions("", version("dir/z", "1", 3, true)))
			default:
				t.Errorf("key-marker %q", q.Get("key-marker"))
			}
		})
		infos, err := backendtest.List(t.Context(), store(t, f), "s3://bucket/dir/")
		if err != nil || !slices.Equal(backendtest.Names(infos), []string{want, "z"}) {
			t.Errorf("encoding %q: %q, %v", encoding, backendtest.Names(infos), err)
		}
	}
}

// TestURIs: what is not one, and which versions may be named.
func TestURIs(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("versionId") == "gone":
			refuse(w, r, 404, "NoSuchVersion", "x")
		case r.URL.Query().Has("versions"), r.URL.Query().Has("list-type"):
			fmt.Fprint(w, versions("", version("dir/", "1", 5, true)))
		default:
			ok(w, r)
		}
	})
	s := store(t, f)
	for uri, kind := range map[string]manifest.Kind{
		"s3://":                          manifest.KindInvalid,
		"s3:///key":                      manifest.KindInvalid,
		"gs://bucket/key":                manifest.KindInvalid,
		"s3://bucket?versionId=x":        manifest.KindInvalid,
		"s3://bucket/?versionId=x":       manifest.KindInvalid,
		"s3://bucket/key?versionId=":     manifest.KindInvalid,
		"s3://bucket/dir/":               manifest.KindInvalid, // an object with data whose name would be empty
		"s3://bucket/key?versionId=gone": manifest.KindNoSource,
		"s3://not a bucket/key":          manifest.KindInvalid,
	} {
		_, err := backendtest.List(t.Context(), s, uri)
		wantError(t, err, kind)
	}
	infos, err := backendtest.List(t.Context(), s, "s3://bucket/a?b#c?versionId=old")
	if err != nil || len(infos) != 1 || infos[0].Ref != "s3://bucket/a?b#c" || infos[0].Extra["versionID"] != "old" || !infos[0].Single || infos[0].Name != "a?b#c" {
		t.Errorf("%+v, %v", infos, err)
	}
	if r := f.Last(t); r.URL.Path != "/bucket/a?b#c" || r.URL.Query().Get("versionId") != "old" {
		t.Errorf("asked %s", r.RequestURI)
	}
}

// TestOlder: a pin by ETag is looked for among older versions, once for all ranges.
func TestOlder(t *testing.T) {
	deny := false
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case q.Has("versions") && deny:
			refuse(w, r, 403, "AccessDenied", "x")
		case q.Has("versions"):
			fmt.Fprint(w, versions("", version("dir/key", "3", 3, true), version("dir/key", "2", 3, false), version("dir/key2", "2", 3, false)))
		case q.Get("versionId") == "2":
			w.Header().Set("ETag", `"e-2"`)
			ok2(w, r)
		case r.Header.Get("If-Match") != "":
			refuse(w, r, 412, "PreconditionFailed", "x")
		default:
			w.Header().Set("ETag", `"e-3"`)
			ok2(w, r)
		}
	})
	s := store(t, f)
	for range 3 {
		if got, err := backendtest.Read(t.Context(), s, byETag("e-2", 3), 0, -1); got != "abc" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if info, err := s.Stat(t.Context(), byETag("e-2", 3)); err != nil || info.Digest != "e-2" {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	if n := f.Count("GET", "versions"); n != 1 {
		t.Errorf("%d searches, want 1", n)
	}
	for _, deny = range []bool{false, true} {
		_, err := backendtest.Read(t.Context(), s, byETag("e-9", 3), 0, -1)
		wantError(t, err, manifest.KindChanged, "expected 'e-9' but found 'e-3'")
	}
	_, err := backendtest.Read(t.Context(), s, byVersion("1", "e-1", 3), 0, -1)
	wantError(t, err, manifest.KindChanged, "expected 'e-1' but found 'e-3'")
	if n := f.Count("GET", "versions"); n != 3 {
		t.Errorf("%d searches, want 3: none for a pin by version", n)
	}
}

// TestOlderUnknown: a search that could not be done is no proof that the pin is gone.
func TestOlderUnknown(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("versions") {
			refuse(w, r, 503, "SlowDown", "x")
			return
		}
		refuse(w, r, 404, "NoSuchKey", "x")
	})
	_, err := backendtest.Read(t.Context(), store(t, f), byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindThrottled)
}

// TestSilentFirstPage: a listing does not wait for ever for its first answer.
func TestSilentFirstPage(t *testing.T) {
	setkeys(t)
	f := backendtest.NewScripted(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s, err := s3store.New(t.Context(), s3store.Options{Endpoint: f.URL, Retry: backends.RetryPolicy{StallTimeout: 30 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = backendtest.List(t.Context(), s, "s3://bucket/dir/")
	wantError(t, err, manifest.KindUnreachable, "no answer in time")
}
