package httpstore_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// drop serves obj to requests without some of their headers: a server that does
// not know them.
func drop(obj *file, names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			r.Header.Del(name)
		}
		obj.ServeHTTP(w, r)
	}
}

// servers that serve the pinned object, and know more or less of HTTP.
func servers(obj *file) map[string]http.HandlerFunc {
	never := func(w http.ResponseWriter, r *http.Request) { // says 412 to If-Match whatever it holds
		if r.Header.Get("If-Match") != "" || r.Header.Get("If-Unmodified-Since") != "" {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		obj.ServeHTTP(w, r)
	}
	mute := func(w http.ResponseWriter, r *http.Request) { // parts without ETag and time
		obj.ServeHTTP(&muted{ResponseWriter: w}, r)
	}
	chunked := func(w http.ResponseWriter, r *http.Request) { // no ranges, no length
		r.Header.Del("Range")
		obj.ServeHTTP(&unsized{w}, r)
	}
	return map[string]http.HandlerFunc{
		"complete":         obj.ServeHTTP,
		"ignores If-Match": drop(obj, "If-Match", "If-Unmodified-Since"),
		"ignores If-Range": drop(obj, "If-Range"),
		"no ranges":        drop(obj, "Range", "If-Range"),
		"412 to If-Match":  never,
		"mute parts":       mute,
		"chunked":          chunked,
	}
}

// muted takes what pins off answers that are parts.
type muted struct{ http.ResponseWriter }

func (m *muted) WriteHeader(code int) {
	if code == http.StatusPartialContent {
		m.Header().Del("ETag")
		m.Header().Del("Last-Modified")
	}
	m.ResponseWriter.WriteHeader(code)
}

// unsized takes the length off all answers.
type unsized struct{ http.ResponseWriter }

func (u *unsized) WriteHeader(code int) {
	u.Header().Del("Content-Length")
	u.ResponseWriter.WriteHeader(code)
}

func pins(ref string, size int64) map[string]manifest.Object {
	return map[string]manifest.Object{"etag": byETag(ref, `"old"`, size), "time": byTime(ref, then, size)}
}

func TestReadsAtThePin(t *testing.T) {
	data := strings.Repeat("0123456789", 20_000)
	obj := &file{data: data, etag: `"old"`, modified: then}
	for name, answer := range servers(obj) {
		for _, size := range []int64{int64(len(data)), manifest.SizeUnknown} {
			t.Run(fmt.Sprintf("%s, size %d", name, size), func(t *testing.T) {
				f := backendtest.NewScripted(t, answer)
				s := open(t, httpstore.Options{})
				for _, o := range pins(f.URL+"/x", size) {
					wantRead(t, s, o, 0, -1, data)
					wantRead(t, s, o, 0, 10, data[:10])
					wantRead(t, s, o, 150_000, 10_000, data[150_000:160_000])
					wantRead(t, s, o, 199_990, 100, data[199_990:])
					wantRead(t, s, o, 199_990, -1, data[199_990:])
					wantRead(t, s, o, 200_000, 10, "")
					wantRead(t, s, o, 300_000, -1, "")
					wantRead(t, s, o, 5, 0, "")
				}
			})
		}
	}
}

// Whatever a server knows of conditions: another object is never read.
func TestNeverReadsAnother(t *testing.T) {
	for name := range servers(nil) {
		t.Run(name, func(t *testing.T) {
			obj := &file{data: strings.Repeat("y", 1000), etag: `"new"`, modified: then.Add(time.Hour)}
			f := backendtest.NewScripted(t, servers(obj)[name])
			s := open(t, httpstore.Options{})
			for kind, o := range pins(f.URL+"/x", 1000) {
				for _, r := range [][2]int64{{0, -1}, {0, 10}, {500, 10}, {0, 0}, {1000, 10}} {
					_, err := backendtest.Read(t.Context(), s, o, r[0], r[1])
					wantError(t, err, manifest.KindChanged, o.Ref, "expected '"+o.Pin.Value+"' but found '"+found(obj, kind)+"'")
				}
				_, err := s.Stat(t.Context(), o)
				wantError(t, err, manifest.KindChanged, o.Ref, found(obj, kind))
			}
		})
	}
}

func found(obj *file, kind string) string {
	if kind == "etag" {
		return obj.etag
	}
	return obj.modified.Format(http.TimeFormat)
}

func TestTimeAndSizeAreOnePin(t *testing.T) {
	f := backendtest.NewScripted(t, (&file{data: "12345", modified: then}).ServeHTTP)
	s := open(t, httpstore.Options{})
	o := byTime(f.URL+"/x", then, 4)
	_, err := backendtest.Read(t.Context(), s, o, 0, -1)
	wantError(t, err, manifest.KindChanged, "expected '4 bytes' but found '5 bytes'")
	_, err = s.Stat(t.Context(), o)
	wantError(t, err, manifest.KindChanged, "expected '4 bytes' but found '5 bytes'")
	_, err = backendtest.Read(t.Context(), s, byETag(f.URL+"/x", `"e"`, 5), 0, -1)
	wantError(t, err, manifest.KindChanged, "an answer without an ETag")
}

func TestWeakETag(t *testing.T) {
	obj := &file{data: "12345", etag: `W/"a"`}
	f := backendtest.NewScripted(t, obj.ServeHTTP)
	s := open(t, httpstore.Options{})
	o := byETag(f.URL+"/x", `W/"a"`, 5)
	wantRead(t, s, o, 1, 2, "23")
	if h := f.Last(t).Header; h.Get("If-Match") != "" || h.Get("If-Range") != "" {
		t.Errorf("got %v, want no condition: a weak ETag matches none", h)
	}
	obj.etag = `W/"b"`
	_, err := backendtest.Read(t.Context(), s, o, 1, 2)
	wantError(t, err, manifest.KindChanged, `found 'W/"b"'`)
}

func TestUnpinnedIsTrackedOnly(t *testing.T) {
	s := open(t, httpstore.Options{})
	o := manifest.Entry{Path: "x", Ref: "http://localhost/x", Digest: "http://localhost/x", Size: 5}.Object()
	_, err := backendtest.Read(t.Context(), s, o, 0, -1)
	wantError(t, err, manifest.KindUnsupported, "http://localhost/x", "only tracked")
	_, err = s.Stat(t.Context(), o)
	wantError(t, err, manifest.KindUnsupported)
}

func TestDamagedAnswers(t *testing.T) {
	const good = "bytes 2-4/10"
	tests := map[string]struct {
		code   int
		header map[string]string
		body   string
		kind   manifest.Kind
		word   string
	}{
		"another offset":  {206, map[string]string{"Content-Range": "bytes 0-2/10"}, "abc", manifest.KindCorrupt, "expected '2' but found '0'"},
		"no range":        {206, nil, "abc", manifest.KindCorrupt, "does not say which"},
		"several ranges":  {206, map[string]string{"Content-Type": "multipart/byteranges; boundary=x"}, "--x", manifest.KindCorrupt, "does not say which"},
		"nonsense":        {206, map[string]string{"Content-Range": "bytes 4-2/10"}, "abc", manifest.KindCorrupt, "does not say which"},
		"past its end":    {206, map[string]string{"Content-Range": "bytes 2-4/4"}, "abc", manifest.KindCorrupt, "does not say which"},
		"too short":       {206, map[string]string{"Content-Range": "bytes 2-3/10"}, "ab", manifest.KindCorrupt, "expected '3 bytes' but found '2 bytes'"},
		"too long":        {206, map[string]string{"Content-Range": "bytes 2-5/10"}, "abcd", manifest.KindCorrupt, "found '4 bytes'"},
		"another size":    {206, map[string]string{"Content-Range": "bytes 2-4/11"}, "abc", manifest.KindCorrupt, "expected '10 bytes' but found '11 bytes'"},
		"another length":  {206, map[string]string{"Content-Range": good}, "abcd", manifest.KindCorrupt, "another length than it says"},
		"coded":           {206, map[string]string{"Content-Range": good, "Content-Encoding": "gzip"}, "abc", manifest.KindUnsupported, "coded (gzip)"},
		"cut":             {206, map[string]string{"Content-Range": good, "Content-Length": "3"}, "a", manifest.KindUnreachable, "2 bytes before its end"},
		"whole, cut":      {200, map[string]string{"Content-Length": "10"}, "abc", manifest.KindUnreachable, "2 bytes before its end"},
		"whole, too long": {200, nil, "0123456789a", manifest.KindCorrupt, "found '11 bytes'"},
		"no content":      {204, nil, "", manifest.KindInvalid, "204"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"e"`)
				for name, value := range tc.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tc.code)
				fmt.Fprint(w, tc.body)
			})
			_, err := backendtest.Read(t.Context(), open(t, httpstore.Options{}), byETag(f.URL+"/x", `"e"`, 10), 2, 3)
			wantError(t, err, tc.kind, f.URL+"/x", tc.word)
		})
	}
}

// A body without a length must end where the object does.
func TestChunkedBodies(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		fmt.Fprint(w, "01234")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "56789")
		if r.URL.Path == "/cut" {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	s := open(t, httpstore.Options{})
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 10), 0, -1, "0123456789")
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, -1), 2, 5, "23456")
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 9), 0, 3, "012") // the rest is not looked at
	_, err := backendtest.Read(t.Context(), s, byETag(f.URL+"/x", `"e"`, 9), 0, -1)
	wantError(t, err, manifest.KindCorrupt, "goes on where the object should end")
	_, err = backendtest.Read(t.Context(), s, byETag(f.URL+"/x", `"e"`, 11), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "1 bytes before its end")
	_, err = backendtest.Read(t.Context(), s, byETag(f.URL+"/cut", `"e"`, -1), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "broke off")
}

// A body that only the end of the connection ends could be cut unseen.
func TestBodyWithoutAnyLength(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.0 200 OK\r\nETag: \"e\"\r\n\r\n0123456789")
		conn.Close()
	})
	s := open(t, httpstore.Options{})
	_, err := backendtest.Read(t.Context(), s, byETag(f.URL+"/x", `"e"`, manifest.SizeUnknown), 0, -1)
	wantError(t, err, manifest.KindCorrupt, "does not tell its length")
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 10), 0, -1, "0123456789")
}
