package gcsstore_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/manifest"
)

// TestRequests: what is asked for, and by what.
func TestRequests(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
			content(w, "7")
			return
		}
		fmt.Fprint(w, object("dir/key", 7))
	})
	s := store(t, f)
	if got, err := backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1); got != "abc" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	r := f.Last(t)
	if r.URL.EscapedPath() != "/storage/v1/b/bucket/o/dir%2Fkey" || r.URL.Query().Get("generation") != "7" || r.URL.Query().Has("userProject") {
		t.Errorf("asked %s", r.RequestURI)
	}
	if r.Header.Get("Range") != "" || r.Header.Get("Accept-Encoding") != "gzip" || r.Header.Get("Authorization") != "" {
		t.Errorf("header %v", r.Header)
	}
	info, err := s.Stat(t.Context(), byGeneration("7"))
	if err != nil || info.Entry("x").Object().Pin != byGeneration("7").Pin || info.Size != 3 || info.Name != "key" || len(info.Sums) != 2 {
		t.Errorf("%+v, %v", info, err)
	}
	if q := f.Last(t).URL.Query(); q.Get("generation") != "7" || q.Get("projection") != "noAcl" || !strings.Contains(q.Get("fields"), "crc32c") {
		t.Errorf("asked %v", q)
	}
	setenv(t)
	payer := open(t, gcsstore.Options{Endpoint: f.URL, Anonymous: true, UserProject: "payer"})
	_, _ = backendtest.Read(t.Context(), payer, byGeneration("7"), 0, -1)
	_, _ = payer.Stat(t.Context(), byMD5(md5ABC))
	_, _ = payer.Stat(t.Context(), byMD5("AAAAAAAAAAAAAAAAAAAAAA=="))
	_, _ = backendtest.List(t.Context(), payer, "gs://bucket/dir/")
	if n := f.CountOf(func(r *http.Request) bool { return r.URL.Query().Get("userProject") == "payer" }); n != f.CountOf(nil)-2 {
		t.Errorf("%d of %d requests name the project that pays, want all but 2", n, f.CountOf(nil))
	}
}

// TestWrongAnswers: no byte of an answer that can't be the object is given.
func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"other generation":   {map[string]string{"X-Goog-Generation": "8", "Content-Range": "bytes 2-4/10"}, 206},
		"other size":         {map[string]string{"Content-Range": "bytes 2-4/11"}, 206},
		"other offset":       {map[string]string{"Content-Range": "bytes 0-2/10"}, 206},
		"shorter":            {map[string]string{"Content-Range": "bytes 2-3/10", "Content-Length": "2"}, 206},
		"longer":             {map[string]string{"Content-Range": "bytes 2-6/10", "Content-Length": "5"}, 206},
		"range ignored":      {map[string]string{"Content-Length": "10"}, 200},
		"junk Content-Range": {map[string]string{"Content-Range": "lines 2"}, 206},
		"other MD5":          {map[string]string{"Content-Range": "bytes 2-4/10", "X-Goog-Hash": "crc32c=" + crcABC + ",md5=AAAAAAAAAAAAAAAAAAAAAA=="}, 206},
		"other CRC":          {map[string]string{"Content-Range": "bytes 2-4/10", "X-Goog-Hash": "crc32c=AAAAAA=="}, 206},
		"unpacked":           {map[string]string{"Content-Range": "bytes 2-4/10", "X-Goog-Stored-Content-Encoding": "gzip"}, 206},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "3")
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, strings.Repeat("x", 10))
			}))
			obj := byGeneration("7")
			obj.Size = 10
			obj.Checksums = "md5:900150983cd24fb0d6963f7d28e17f72,crc32c:364b31c9"
			got, err := backendtest.Read(t.Context(), s, obj, 2, 3)
			wantError(t, err, manifest.KindCorrupt, "expected", "found")
			if got != "" {
				t.Errorf("%q was given", got)
			}
		})
	}
}

// TestMetadataEdit: it makes another ETag of the same content and generation.
func TestMetadataEdit(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
			w.Header().Set("ETag", `"etag-edited"`)
			content(w, "7")
			return
		}
		fmt.Fprint(w, object("dir/key", 7, `"etag":"etag-edited"`))
	})
	s := store(t, f)
	if got, err := backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1); got != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := s.Stat(t.Context(), byGeneration("7")); err != nil || info.Digest != "etag-edited" {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestStored: content is read as it is stored, compressed or not.
func TestStored(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Stored-Content-Encoding", "gzip")
		w.Header().Set("Content-Encoding", "gzip")
		content(w, "7")
	})
	if got, err := backendtest.Read(t.Context(), store(t, f), byGeneration("7"), 0, -1); got != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// generations serves those of dir/key, the last of which is the current one.
func generations(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want := r.URL.Query().Get("generation")
		switch {
		case isSearch(r):
			fmt.Fprint(w, objects("", append(lines, object("dir/key2", 2))...))
		case isContent(r):
			content(w, want)
		case want == "" && len(lines) > 0:
			fmt.Fprint(w, lines[len(lines)-1])
		default:
			for _, l := range lines {
				if strings.Contains(l, `"generation":"`+want+`"`) && want != "" {
					fmt.Fprint(w, l)
					return
				}
			}
			refuse(w, r, 404, "notFound", "No such object")
		}
	}
}

const (
	otherMD5  = `"md5Hash":"AAAAAAAAAAAAAAAAAAAAAA=="`
	composite = `"md5Hash":""`
)

// TestFind: pins by content and by ETag alone are found at the current generation
// or among older ones, once for all ranges.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		name     string
		lines    []string
		obj      manifest.Object
		want     string // the generation that is read
		searches int
	}{
		{"MD5, current", []string{object("dir/key", 1)}, byMD5(md5ABC), "1", 0},
		{"MD5, older", []string{object("dir/key", 1), object("dir/key", 2), object("dir/key", 3, otherMD5)}, byMD5(md5ABC), "2", 1},
		{"MD5, behind a composite", []string{object("dir/key", 1), object("dir/key", 2, composite)}, byMD5(md5ABC), "1", 1},
		{"ETag, current", []string{object("dir/key", 1)}, byETag("etag-1"), "1", 0},
		{"ETag, older", []string{object("dir/key", 1), object("dir/key", 2)}, byETag("etag-1"), "1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := backendtest.NewScripted(t, generations(c.lines...))
			s := store(t, f)
			for range 3 {
				if got, err := backendtest.Read(t.Context(), s, c.obj, 0, -1); got != "abc" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				if got := f.Last(t).URL.Query().Get("generation"); got != c.want {
					t.Fatalf("read generation %s, want %s", got, c.want)
				}
				if _, err := s.Stat(t.Context(), c.obj); err != nil {
					t.Fatal(err)
				}
			}
			if n := f.CountOf(isSearch); n != c.searches {
				t.Errorf("%d searches, want %d", n, c.searches)
			}
			if n := f.CountOf(isMetadata); n != 4 { // once for the pin, and each Stat
				t.Errorf("%d requests for metadata, want 4", n)
			}
		})
	}
}

// TestNotFound: what is said of a pin that is nowhere.
func TestNotFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		obj   manifest.Object
		kind  manifest.Kind
		words []string
	}{
		{"MD5, overwritten", []string{object("dir/key", 3, otherMD5)}, byMD5(md5ABC), manifest.KindChanged,
			[]string{"expected '" + md5ABC + "' but found 'AAAAAAAAAAAAAAAAAAAAAA=='"}},
		{"MD5, composed", []string{object("dir/key", 3, composite)}, byMD5(md5ABC), manifest.KindChanged,
			[]string{"expected '" + md5ABC + "' but found 'generation:3, which has no md5'"}},
		{"MD5, deleted", nil, byMD5(md5ABC), manifest.KindGone, []string{"expected 'md5:" + md5ABC + "' but found nothing"}},
		{"ETag, overwritten", []string{object("dir/key", 3)}, byETag("etag-1"), manifest.KindChanged, []string{"expected 'etag-1' but found 'etag-3'"}},
		{"ETag, deleted", nil, byETag("etag-1"), manifest.KindGone, []string{"expected 'etag:etag-1' but found nothing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, generations(c.lines...)))
			_, err := s.Stat(t.Context(), c.obj)
			wantError(t, err, c.kind, append(c.words, refKey)...)
			_, err = backendtest.Read(t.Context(), s, c.obj, 0, -1)
			wantError(t, err, c.kind, c.words...)
		})
	}
}

// TestGone: a generation that is gone, and what is there instead.
func TestGone(t *testing.T) {
	refused := func(lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if isContent(r) {
				refuse(w, r, 404, "notFound", "No such object")
				return
			}
			generations(lines...)(w, r)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		found   string
	}{
		"overwritten": {refused(object("dir/key", 9)), "but found 'generation:9'"},
		"deleted":     {refused(), "but found nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, c.handler))
			_, err := s.Stat(t.Context(), byGeneration("7"))
			wantError(t, err, manifest.KindGone, "expected 'generation:7'", c.found)
			_, err = backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1)
			wantError(t, err, manifest.KindGone, "expected 'generation:7'", c.found)
		})
	}
}

// TestFoundAgain: a generation that was found before and was deleted since gives
// way to another with the same content.
func TestFoundAgain(t *testing.T) {
	var now atomic.Int64
	now.Store(1)
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(now.Load())
		if want := r.URL.Query().Get("generation"); want != "" && want != fmt.Sprint(n) {
			refuse(w, r, 404, "notFound", "No such object")
			return
		}
		generations(object("dir/key", n))(w, r)
	}))
	for _, n := range []int64{1, 2, 2} {
		now.Store(n)
		if got, err := backendtest.Read(t.Context(), s, byMD5(md5ABC), 0, -1); got != "abc" || err != nil {
			t.Fatalf("generation %d: %q, %v", n, got, err)
		}
	}
}

// TestSearchUnknown: a search that could not be done is no proof that the pin is
// gone; one that may not be done is.
func TestSearchUnknown(t *testing.T) {
	for status, kind := range map[int]manifest.Kind{503: manifest.KindThrottled, 500: manifest.KindUnreachable, 403: manifest.KindGone} {
		s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			if isSearch(r) {
				refuse(w, r, status, "x", "x")
				return
			}
			refuse(w, r, 404, "notFound", "No such object")
		}))
		_, err := backendtest.Read(t.Context(), s, byMD5(md5ABC), 0, -1)
		wantError(t, err, kind)
	}
}

// TestSearchPages: a search goes over pages, ends behind the key, and has an end.
func TestSearchPages(t *testing.T) {
	page := 0
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isSearch(r) && page == 0:
			page++
			fmt.Fprint(w, objects("p1", object("dir/key", 1, otherMD5)))
		case isSearch(r) && r.URL.Query().Get("pageToken") == "p1":
			fmt.Fprint(w, objects("p2", object("dir/key", 2), object("dir/key2", 3, otherMD5)))
		case isSearch(r):
			fmt.Fprint(w, objects("more", object("dir/key", 1, otherMD5)))
		case isContent(r):
			content(w, "2")
		default:
			refuse(w, r, 404, "notFound", "No such object")
		}
	})
	s := store(t, f)
	if got, err := backendtest.Read(t.Context(), s, byMD5(md5ABC), 0, -1); got != "abc" || err != nil || f.CountOf(isSearch) != 2 {
		t.Errorf("%q, %v after %d searches", got, err, f.CountOf(isSearch))
	}
	_, err := s.Stat(t.Context(), byMD5("AQEBAQEBAQEBAQEBAQEBAQ=="))
	wantError(t, err, manifest.KindGone)
	if n := f.CountOf(isSearch); n > 20 {
		t.Errorf("%d pages searched", n)
	}
}

// TestConnections: a stream that was read to its end leaves its connection for
// the next, even when the reader never asks for the end of file.
func TestConnections(t *testing.T) {
	setenv(t)
	var opened atomic.Int32
	f := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { content(w, "7") }))
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	f.Start()
	defer f.Close()
	s := open(t, gcsstore.Options{Endpoint: f.URL, Anonymous: true})
	for range 10 {
		body, _, err := s.Open(t.Context(), byGeneration("7"), 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 10 reads one after the other, want 1", n)
	}
}

// TestStarWithoutSize: a server may not know the total; the manifest does.
func TestStarWithoutSize(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-4/*")
		w.WriteHeader(206)
		_, _ = io.WriteString(w, "abc")
	}))
	obj := byGeneration("7")
	obj.Size = 10
	if got, err := backendtest.Read(t.Context(), s, obj, 2, 3); got != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	obj.Size = manifest.SizeUnknown
	_, err := backendtest.Read(t.Context(), s, obj, 2, 3)
	wantError(t, err, manifest.KindCorrupt)
}

// TestPastUnknownEnd: of an object whose size only the server knows.
func TestPastUnknownEnd(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
			refuse(w, r, 416, "requestedRangeNotSatisfiable", "x")
			return
		}
		fmt.Fprint(w, object("dir/key", 7))
	})
	obj := byGeneration("7")
	obj.Size = manifest.SizeUnknown
	if got, err := backendtest.Read(t.Context(), store(t, f), obj, 5, 3); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, err := backendtest.Read(t.Context(), store(t, f), obj, 1, 1) // the server's mistake
	wantError(t, err, manifest.KindUnreachable, "416")
}

// TestCut: a body that breaks off is no end of file; nobody but the wrapper goes
// on there.
func TestCut(t *testing.T) {
	var first atomic.Bool
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		body, status := "abcdef", 200
		if from := r.Header.Get("Range"); from != "" {
			if from != "bytes=3-" && from != "bytes=3-5" {
				t.Errorf("range %q", from)
			}
			w.Header().Set("Content-Range", "bytes 3-5/6")
			body, status = "def", 206
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		if first.CompareAndSwap(true, false) {
			_, _ = io.WriteString(w, body[:3])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, body)
	})
	s := store(t, f)
	obj := byGeneration("7")
	obj.Size = 6
	first.Store(true)
	got, err := backendtest.Read(t.Context(), s, obj, 0, -1)
	wantError(t, err, manifest.KindUnreachable, "broke off 3 bytes before its end")
	if got != "abc" || f.CountOf(nil) != 1 {
		t.Errorf("got %q after %d requests", got, f.CountOf(nil))
	}
	first.Store(true)
	if got, err := backendtest.Read(t.Context(), backends.WithRetry(s, backendtest.FastRetry()), obj, 0, -1); got != "abcdef" || err != nil {
		t.Errorf("resumed: %q, %v", got, err)
	}
}

// TestSums: which checksums count, from metadata and from the header of contents.
func TestSums(t *testing.T) {
	both, crcOnly := []manifest.SumAlg{"crc32c", "md5"}, []manifest.SumAlg{"crc32c"}
	for name, c := range map[string]struct {
		headers []string
		fields  []string
		want    []manifest.SumAlg
	}{
		"both":        {[]string{"crc32c=" + crcABC + ",md5=" + md5ABC}, nil, both},
		"two headers": {[]string{"crc32c=" + crcABC, "md5=" + md5ABC}, nil, both},
		"composite":   {[]string{"crc32c=" + crcABC}, []string{composite}, crcOnly},
		"junk":        {[]string{"crc32c=AAAA,md5=%%"}, []string{`"crc32c":"AAAA"`, `"md5Hash":"%%"`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				if !isContent(r) {
					fmt.Fprint(w, object("dir/key", 7, c.fields...))
					return
				}
				w.Header()["X-Goog-Hash"] = c.headers
				_, _ = io.WriteString(w, "abc")
			}))
			head, err := s.Stat(t.Context(), byGeneration("7"))
			if err != nil {
				t.Fatal(err)
			}
			body, get, err := s.Open(t.Context(), byGeneration("7"), 0, 3)
			if err != nil {
				t.Fatal(err)
			}
			body.Close()
			for call, info := range map[string]backends.Info{"Stat": head, "Open": get} {
				var got []manifest.SumAlg
				for _, sum := range info.Sums {
					got = append(got, sum.Alg)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: sums %v, want %v", call, got, c.want)
				}
			}
		})
	}
}

// TestUnpinned: nobody knows which bytes such a reference means.
func TestUnpinned(t *testing.T) {
	f := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) {})
	s := store(t, f)
	entry := manifest.Entry{Ref: refKey, Digest: refKey, Size: 3}
	_, err := s.Stat(t.Context(), entry.Object())
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, entry.Object(), 0, -1)
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, byGeneration("7"), -1, -1)
	wantError(t, err, manifest.KindInvalid)
	for _, generation := range []string{"junk", "0", "-1", "99999999999999999999"} {
		_, err = s.Stat(t.Context(), byGeneration(generation))
		wantError(t, err, manifest.KindInvalid, generation)
	}
	for _, ref := range []string{"gs://bucket", "gs://bucket/", "gs:///key", "s3://bucket/key"} {
		obj := byGeneration("7")
		obj.Ref = ref
		_, err = s.Stat(t.Context(), obj)
		wantError(t, err, manifest.KindInvalid)
	}
	if n := f.CountOf(nil); n != 0 {
		t.Errorf("%d requests", n)
	}
}
