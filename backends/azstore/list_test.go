package azstore_test

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
	"github.com/pinfs/pinfs/manifest"
)

// blob is one line of a listing: extra elements, and the ETag with its quotes.
func blob(name, extra, etag string) string {
	return fmt.Sprintf(`<Blob><Name>%s</Name>%s<Properties><Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Etag>%s</Etag><Content-Length>3</Content-Length>`+
		`<Content-MD5>kAFQmDzST7DWlj99KOF/cg==</Content-MD5><BlobType>BlockBlob</BlobType></Properties></Blob>`, name, extra, etag)
}

// version is a line of a listing with versions.
func version(name, id string, current bool) string {
	extra := "<VersionId>" + id + "</VersionId>"
	if current {
		extra += "<IsCurrentVersion>true</IsCurrentVersion>"
	}
	return blob(name, extra, "e-"+id)
}

func empty(name, extra string) string {
	return strings.Replace(blob(name, extra, "e"), "<Content-Length>3<", "<Content-Length>0<", 1)
}

func listing(next string, lines ...string) string {
	return "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>" + strings.Join(lines, "") + "</Blobs><NextMarker>" + next + "</NextMarker></EnumerationResults>"
}

// pages answers a listing by its marker; there is no blob of any name.
func pages(byMarker map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			refuse(w, r, 404, "BlobNotFound", "")
			return
		}
		fmt.Fprint(w, byMarker[r.URL.Query().Get("marker")])
	}
}

// TestVersionPages: only current versions count, a page may have none, a name that
// two pages give counts once, and a blob without an id is current.
func TestVersionPages(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{
		"":   listing("m1", empty("dir/", ""), version("dir/a", "1", false), version("dir/a", "2", true), blob("dir/b", "", `"plain"`)),
		"m1": listing("m2", blob("dir/b", "", `"plain"`), version("dir/c", "3", false), version("dir/c", "4", false)),
		"m2": listing("m3"),
		"m3": listing("", version("dir/e/f", "9", true), version("other", "9", true), blob("dir/s", "<Snapshot>2026-01-02T03:04:05.1234567Z</Snapshot>", "e"), blob("dir/d", "<Deleted>true</Deleted>", "e")),
	}))
	infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(infos, func(a, b backends.Info) int { return strings.Compare(a.Name, b.Name) })
	if got, want := backendtest.Names(infos), []string{"a", "b", "e/f"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	a, b := infos[0], infos[1]
	if a.Ref != "azblob://acct/cont/dir/a" || a.Digest != "e-2" || a.Extra["versionID"] != "2" || a.Extra["etag"] != "e-2" || a.Size != 3 || a.Single ||
		!a.ModTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || len(a.Sums) != 1 || len(a.Sums[0].Value) != 16 {
		t.Errorf("a: %+v", a)
	}
	if _, has := b.Extra["versionID"]; has || b.Digest != "plain" {
		t.Errorf("b: %+v", b)
	}
	if n := f.Count("GET", "comp=list"); n != 4 {
		t.Errorf("%d pages fetched, want 4", n)
	}
	if q := f.Last(t).URL.Query(); q.Get("include") != "metadata,versions" || q.Get("prefix") != "dir/" || q.Has("maxresults") {
		t.Errorf("asked %s", f.Last(t).RequestURI)
	}
}

// TestFolders: what stands for a folder is no file, an empty blob is one.
func TestFolders(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{"": listing("",
		empty("dir/sub", "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"),
		empty("dir/Sub", "<Metadata><Hdi_isfolder>True</Hdi_isfolder></Metadata>"),
		strings.Replace(empty("dir/deep", ""), "<BlobType>", "<ResourceType>directory</ResourceType><BlobType>", 1),
		empty("dir/slash/", ""),
		empty("dir/no", "<Metadata><hdi_isfolder>false</hdi_isfolder></Metadata>"),
		empty("dir/empty", ""),
		blob("dir/sub/file", "", "e"))}))
	infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"no", "empty", "sub/file"}) {
		t.Fatalf("%q, %v", backendtest.Names(infos), err)
	}
	f = backendtest.NewScripted(t, pages(map[string]string{"": listing("", empty("dir/sub/", ""))}))
	_, err = backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir")
	wantError(t, err, manifest.KindNoSource, "only folders")
	f = backendtest.NewScripted(t, pages(map[string]string{"": listing("", blob("dir/", "", "e"))}))
	_, err = backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir")
	wantError(t, err, manifest.KindInvalid, "ends in '/'")
}

// TestFolderByName: a folder of a hierarchical namespace, named itself, is listed.
func TestFolderByName(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			answer(w, r, 200, "ETag: \"e\"\nContent-Length: 0\nx-ms-meta-hdi_isfolder: true", "")
			return
		}
		fmt.Fprint(w, listing("", blob("dir/a", "", "e")))
	})
	infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a"}) {
		t.Errorf("%q, %v", backendtest.Names(infos), err)
	}
}

// TestPlain: where versions can't be listed the listing goes on without.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
	}{{400, "InvalidQueryParameterValue"}, {409, "FeatureNotSupported"}, {403, "AuthorizationPermissionMismatch"}} {
		f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Query().Get("include"), "versions") {
				refuse(w, r, c.status, c.code, "x")
				return
			}
			pages(map[string]string{"": listing("m", blob("dir/a", "", "e")), "m": listing("", blob("dir/b", "", "e"))})(w, r)
		})
		infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir/")
		if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a", "b"}) {
			t.Fatalf("%s: %q, %v", c.code, backendtest.Names(infos), err)
		}
		if n := f.Count("GET", "versions"); n != 1 {
			t.Errorf("%s: asked for versions %d times", c.code, n)
		}
	}
}

// TestPageRetry: a page that fails in the middle is asked for again by itself.
func TestPageRetry(t *testing.T) {
	var failures atomic.Int32
	right := pages(map[string]string{"": listing("m", blob("dir/a", "", "e")), "m": listing("", blob("dir/b", "", "e"))})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("marker") == "m" && failures.Add(1) <= 2 {
			refuse(w, r, 503, "ServerBusy", "x")
			return
		}
		right(w, r)
	})
	infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir/")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a", "b"}) {
		t.Fatalf("%q, %v", backendtest.Names(infos), err)
	}
	failures.Store(-100)
	_, err = backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir/")
	wantError(t, err, manifest.KindThrottled, "3 attempts")
}

// TestStuck: a server that gives the same page for ever ends a listing.
func TestStuck(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{"": listing("m", blob("dir/a", "", "e")), "m": listing("m", blob("dir/a", "", "e"))}))
	_, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/dir/")
	wantError(t, err, manifest.KindUnreachable, "where to go on")
	if n := len(f.Lines()); n > 5 {
		t.Errorf("%d requests", n)
	}
}

// TestGarbled: an answer that is no listing is none with nothing in it.
func TestGarbled(t *testing.T) {
	for name, body := range map[string]string{"nothing": "", "other document": "<Error/>", "cut": listing("", blob("dir/a", "", "e"))[:200], "page of a proxy": "<html><p>busy</html>"} {
		t.Run(name, func(t *testing.T) {
			_, err := backendtest.List(t.Context(), store(t, backendtest.NewScripted(t, pages(map[string]string{"": body}))), "azblob://acct/cont/dir/")
			wantError(t, err, manifest.KindUnreachable)
		})
	}
}

// TestFnEnds: an error of fn comes back as it is, and few pages were fetched ahead.
func TestFnEnds(t *testing.T) {
	var page atomic.Int32
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		n := page.Add(1)
		fmt.Fprint(w, listing(fmt.Sprintf("m%06d", n), blob(fmt.Sprintf("dir/%06d", n), "", "e")))
	})
	want := errors.New("enough")
	calls := 0
	err := store(t, f).List(t.Context(), "azblob://acct/cont/dir/", func(backends.Info) error {
		if calls++; calls == 3 {
			return want
		}
		return nil
	})
	if err != want || calls != 3 || page.Load() > 6 {
		t.Errorf("%v after %d calls and %d pages", err, calls, page.Load())
	}
}

// TestNamed: a version, a snapshot and a name with '?' are told apart.
func TestNamed(t *testing.T) {
	const at = "2026-01-02T03:04:05.1234567Z"
	f := backendtest.NewScripted(t, ok)
	s := store(t, f)
	for uri, c := range map[string]struct{ ref, version, query string }{
		"azblob://acct/cont/k?versionId=v1":      {"azblob://acct/cont/k", "v1", "versionid=v1"},
		"azblob://acct/cont/k?snapshot=" + at:    {"azblob://acct/cont/k?snapshot=" + at, "", "snapshot=2026"},
		"azblob://acct/cont/k?snapshot=tomorrow": {"azblob://acct/cont/k?snapshot=tomorrow", "", "k%3Fsnapshot=tomorrow"},
		"azblob://acct/cont/k?x=1":               {"azblob://acct/cont/k?x=1", "", "k%3Fx=1"},
	} {
		infos, err := backendtest.List(t.Context(), s, uri)
		if err != nil || len(infos) != 1 || !infos[0].Single || infos[0].Ref != c.ref {
			t.Fatalf("%s: %+v, %v", uri, infos, err)
		}
		if got, _ := infos[0].Extra["versionID"].(string); got != c.version || !strings.Contains(f.Last(t).RequestURI, c.query) {
			t.Errorf("%s: version %q, asked %s", uri, got, f.Last(t).RequestURI)
		}
	}
}
