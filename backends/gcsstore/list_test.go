package gcsstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/manifest"
)

// pages answers a listing by its page token; no single object is there.
func pages(byToken map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isList(r) {
			refuse(w, r, 404, "notFound", "No such object")
			return
		}
		_, _ = io.WriteString(w, byToken[r.URL.Query().Get("pageToken")])
	}
}

// TestPages: what is recorded of each object, and what is none: folder markers,
// siblings, a name that two pages give. A page may be empty.
func TestPages(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{
		"":   objects("p1", object("dir/", 1, `"size":"0"`), object("dir/a", 1700000000000001), object("dir/b", 2, composite)),
		"p1": `{"nextPageToken":"p2"}`,
		"p2": objects("p3", object("dir/b", 2), object("dir/empty", 3, `"size":"0"`), object("dir/sub/", 3, `"size":"0"`)),
		"p3": objects("", object("dir/sub/c", 4), object("dir2/x", 5)),
	}))
	infos, err := backendtest.List(t.Context(), store(t, f), "gs://bucket/dir")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(infos, func(a, b backends.Info) int { return strings.Compare(a.Name, b.Name) })
	if got, want := backendtest.Names(infos), []string{"a", "b", "empty", "sub/c"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	a := infos[0]
	if a.Ref != "gs://bucket/dir/a" || a.Digest != "etag-1700000000000001" || a.Size != 3 || a.Single || len(a.Sums) != 2 ||
		!a.ModTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) {
		t.Errorf("a: %+v", a)
	}
	if extra, err := json.Marshal(a.Extra); err != nil || string(extra) != `{"versionID":1700000000000001}` {
		t.Errorf("a: extra %s, %v", extra, err)
	}
	if sums := infos[1].Sums; len(sums) != 1 || sums[0].Alg != manifest.SumCRC32C || fmt.Sprintf("%x", sums[0].Value) != "364b31c9" {
		t.Errorf("b: sums %v", sums)
	}
	if q := f.Last(t).URL.Query(); q.Get("maxResults") != "1000" || q.Get("projection") != "noAcl" || q.Get("prefix") != "dir/" || strings.Contains(q.Get("fields"), "acl") {
		t.Errorf("asked %v", q)
	}
}

// TestPageRetry: a page that fails in the middle is asked for again by itself.
func TestPageRetry(t *testing.T) {
	var failures atomic.Int32
	answer := pages(map[string]string{
		"":   objects("p1", object("dir/a", 1)),
		"p1": objects("", object("dir/b", 1)),
	})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("pageToken") == "p1" && failures.Add(1) <= 2 {
			refuse(w, r, 503, "backendError", "x")
			return
		}
		answer(w, r)
	})
	infos, err := backendtest.List(t.Context(), store(t, f), "gs://bucket/dir/")
	if err != nil || !slices.Equal(backendtest.Names(infos), []string{"a", "b"}) {
		t.Fatalf("%q, %v", backendtest.Names(infos), err)
	}
	failures.Store(-100)
	_, err = backendtest.List(t.Context(), store(t, f), "gs://bucket/dir/")
	wantError(t, err, manifest.KindThrottled, "3 attempts")
}

// TestStuck: a server that gives the same page for ever ends a listing.
func TestStuck(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{
		"":   objects("p1", object("dir/a", 1)),
		"p1": objects("p1", object("dir/a", 1)),
	}))
	_, err := backendtest.List(t.Context(), store(t, f), "gs://bucket/dir/")
	wantError(t, err, manifest.KindUnreachable, "where to go on")
	if n := f.CountOf(nil); n > 3 {
		t.Errorf("%d requests", n)
	}
}

// TestFnEnds: an error of fn comes back as it is, and few pages were fetched ahead.
func TestFnEnds(t *testing.T) {
	var page atomic.Int32
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		n := int(page.Add(1))
		fmt.Fprint(w, objects(fmt.Sprint(n), object(fmt.Sprintf("dir/%06d", n), 1)))
	})
	want := errors.New("enough")
	calls := 0
	err := store(t, f).List(t.Context(), "gs://bucket/dir/", func(backends.Info) error {
		if calls++; calls == 3 {
			return want
		}
		return nil
	})
	if err != want || calls != 3 || page.Load() > 6 {
		t.Errorf("%v after %d calls and %d pages", err, calls, page.Load())
	}
}

// TestURIs: what is not one, and which generations may be named.
func TestURIs(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("generation") == "404", strings.Contains(r.URL.Path, "empty"):
			refuse(w, r, 404, "notFound", "No such object")
		case isList(r) && q.Get("prefix") == "marked/":
			fmt.Fprint(w, objects("", object("marked/", 1, `"size":"0"`)))
		case isList(r) && strings.HasPrefix(q.Get("prefix"), "empty"):
			fmt.Fprint(w, "{}")
		case isList(r):
			fmt.Fprint(w, objects("", object("dir/", 1)))
		case strings.HasSuffix(r.URL.Path, "/marked"):
			refuse(w, r, 404, "notFound", "No such object")
		default:
			fmt.Fprint(w, object("x", 12))
		}
	})
	s := store(t, f)
	for uri, want := range map[string]struct {
		kind manifest.Kind
		word string
	}{
		"gs://":                {manifest.KindInvalid, "write gs://bucket/key"},
		"gs:///key":            {manifest.KindInvalid, "write gs://bucket/key"},
		"s3://bucket/key":      {manifest.KindInvalid, "not a reference to Google"},
		"gs://not a bucket/k":  {manifest.KindInvalid, "write"},
		"gs://bucket/empty#12": {manifest.KindNoSource, "no object or generation is there"},
		"gs://bucket/dir/":     {manifest.KindInvalid, "ends in '/'"}, // an object with data whose name would be empty
		"gs://bucket/marked":   {manifest.KindNoSource, "only folder markers"},
		"gs://bucket/empty":    {manifest.KindNoSource, "no object or generation is there"},
	} {
		_, err := backendtest.List(t.Context(), s, uri)
		wantError(t, err, want.kind, want.word)
	}
	infos, err := backendtest.List(t.Context(), s, "gs://bucket/a?b#c#12")
	if err != nil || len(infos) != 1 || infos[0].Ref != "gs://bucket/a?b#c" || infos[0].Extra["versionID"] != json.Number("12") || !infos[0].Single || infos[0].Name != "a?b#c" {
		t.Errorf("%+v, %v", infos, err)
	}
	if r := f.Last(t); r.URL.EscapedPath() != "/storage/v1/b/bucket/o/a%3Fb%23c" || r.URL.Query().Get("generation") != "12" {
		t.Errorf("asked %s", r.RequestURI)
	}
	// What can be no generation, or is none of this object, belongs to the key.
	for uri, path := range map[string]string{"a#b": "a%23b", "a#0": "a%230", "a#404": "a%23404", "#12": "%2312", "a#" + big: "a%23" + big} {
		infos, err := backendtest.List(t.Context(), s, "gs://bucket/"+uri)
		if err != nil || len(infos) != 1 || infos[0].Ref != "gs://bucket/"+uri || f.Last(t).URL.EscapedPath() != "/storage/v1/b/bucket/o/"+path {
			t.Errorf("%s: asked %s, %+v, %v", uri, f.Last(t).RequestURI, infos, err)
		}
	}
}

const big = "99999999999999999999"

// shelf serves names by pages of ten, by prefix and by level; all folders of a
// level fit into its first page.
func shelf(all []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		var items, folders []string
		for _, name := range all {
			rest, ok := strings.CutPrefix(name, q.Get("prefix"))
			dir, _, deep := strings.Cut(rest, "/")
			switch folder := fmt.Sprintf("%q", q.Get("prefix")+dir+"/"); {
			case !ok:
			case !deep || q.Get("delimiter") != "/":
				items = append(items, object(name, 1))
			case !slices.Contains(folders, folder):
				folders = append(folders, folder)
			}
		}
		from, _ := strconv.Atoi(q.Get("pageToken"))
		next, to := "", min(from+10, len(items))
		if to < len(items) {
			next = strconv.Itoa(to)
		}
		fmt.Fprintf(w, `{"items":[%s],"prefixes":[%s],"nextPageToken":%q}`, strings.Join(items[from:to], ","), strings.Join(folders, ","), next)
	}
}

// TestFolders: the large folders of a listing are asked for by themselves, and
// all that is below them is given once.
func TestFolders(t *testing.T) {
	var all, want []string
	for i := range 90 {
		name := fmt.Sprintf("%d/%02d", i/30, i)
		all, want = append(all, "dir/"+name), append(want, name)
	}
	f := backendtest.NewScripted(t, shelf(all))
	infos, err := backendtest.List(t.Context(), store(t, f), "gs://bucket/dir/")
	got := backendtest.Names(infos)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d objects, %v; want %d", len(got), err, len(want))
	}
	for prefix, pages := range map[string]int{"dir/": 2, "dir/0/": 3, "dir/1/": 3, "dir/2/": 3} {
		n := f.CountOf(func(r *http.Request) bool { return r.URL.Query().Get("prefix") == prefix })
		if n != pages {
			t.Errorf("%q: %d requests, want %d", prefix, n, pages)
		}
	}
}
