package httpstore_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// then is when test objects were modified.
var then = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

const thenText = "Thu, 29 Feb 2024 12:00:00 GMT"

func TestRecordsByWhatTheServerTells(t *testing.T) {
	tests := map[string]struct {
		file   file
		digest string // "" is the URL
		extra  map[string]any
		pin    manifest.PinKind
	}{
		"strong":          {file{etag: `"abc"`}, "abc", map[string]any{"etag": `"abc"`}, manifest.PinETag},
		"strong and time": {file{etag: `"abc"`, modified: then}, "abc", map[string]any{"etag": `"abc"`}, manifest.PinETag},
		"weak":            {file{etag: `W/"abc"`}, `W/"abc"`, map[string]any{"etag": `W/"abc"`}, manifest.PinETag},
		"weak and time": {file{etag: `W/"abc"`, modified: then}, `W/"abc"`,
			map[string]any{"etag": `W/"abc"`, "lastModified": thenText}, manifest.PinTime},
		"time":    {file{modified: then}, "", map[string]any{"lastModified": thenText}, manifest.PinTime},
		"nothing": {file{}, "", map[string]any{}, manifest.PinNone},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.file.data = "0123456789"
			f := backendtest.NewScripted(t, tc.file.ServeHTTP)
			uri := f.URL + "/a/b.txt?sig=x"
			info, err := list(t.Context(), open(t, httpstore.Options{}), uri)
			if err != nil {
				t.Fatal(err)
			}
			if tc.digest == "" {
				tc.digest = uri
			}
			if info.Digest != tc.digest || info.Ref != uri || info.Size != 10 || info.Name != "b.txt" || !info.Single {
				t.Errorf("got %+v, want digest %q", info, tc.digest)
			}
			if !maps.Equal(info.Extra, tc.extra) || !info.ModTime.Equal(tc.file.modified) {
				t.Errorf("got extra %v, time %v, want %v, %v", info.Extra, info.ModTime, tc.extra, tc.file.modified)
			}
			if obj := info.Entry("x").Object(); obj.Pin.Kind != tc.pin {
				t.Errorf("got pin %v, want %v", obj.Pin, tc.pin)
			}
			if f.Count("GET", "") != 0 || f.Count("HEAD", "") != 1 {
				t.Errorf("got %d GET, %d HEAD, want one HEAD", f.Count("GET", ""), f.Count("HEAD", ""))
			}
		})
	}
}

func TestNames(t *testing.T) {
	f := backendtest.NewScripted(t, (&file{data: "x", etag: `"e"`}).ServeHTTP)
	s := open(t, httpstore.Options{})
	for path, want := range map[string]string{
		"/a.bin": "a.bin", "/a%20b": "a b", "/a b": "a b", "/100%25": "100%", "/caf%C3%A9": "café", "/x/y/z?q=/u": "z",
		"/a%2Fb": "a%2Fb", "/%2e%2e": "%2e%2e", "/a%00": "a%00", "/a%FF": "a%FF", "/": "", "": "", "/dir/": "", "/a#frag/b": "a",
	} {
		info, err := list(t.Context(), s, f.URL+path)
		if err != nil || info.Name != want || info.Ref != f.URL+path {
			t.Errorf("%s: got name %q, ref %q, error %v, want %q", path, info.Name, info.Ref, err, want)
		}
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	s := open(t, httpstore.Options{})
	for uri, word := range map[string]string{
		"https://user:" + canary + "@host/x":     "netrc",
		"https://" + canary + "@host/x":          "netrc",
		"https://u:" + canary + "@ho st/%zz?a@b": "netrc",
		"http:///x":                              "without a host",
		"http://host/100%":                       "%25",
		"http://host:port/x":                     "not a URL",
		"ftp://host/x":                           "not a reference to a web server",
		"http://host/\x7f":                       "not a URL",
	} {
		_, err := list(t.Context(), s, uri)
		wantError(t, err, manifest.KindInvalid, word)
		_, err = s.Stat(t.Context(), byETag(uri, `"e"`, 1))
		wantError(t, err, manifest.KindInvalid, word)
	}
}

// Where HEAD is refused, or tells nothing, one byte is asked for by GET.
func TestHEADThatDoesNotHelp(t *testing.T) {
	obj := &file{data: "0123456789", etag: `"e"`, modified: then}
	refuse := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(code)
				return
			}
			obj.ServeHTTP(w, r)
		}
	}
	answers := map[string]http.HandlerFunc{
		"zero length": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Length", "0")
				return
			}
			obj.ServeHTTP(w, r)
		},
		"no length": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Transfer-Encoding", "chunked")
				w.Header().Set("ETag", `"other"`)
				return
			}
			obj.ServeHTTP(w, r)
		},
	}
	for _, code := range []int{400, 401, 403, 404, 405, 501} {
		answers[http.StatusText(code)] = refuse(code)
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewScripted(t, answer)
			info, err := list(t.Context(), open(t, httpstore.Options{}), f.URL+"/x")
			if err != nil || info.Size != 10 || info.Digest != "e" {
				t.Fatalf("got %+v, error %v, want size 10, digest e", info, err)
			}
			if got := f.Last(t).Header.Get("Range"); got != "bytes=0-0" {
				t.Errorf("got Range %q, want one byte", got)
			}
		})
	}
}

// An empty object has no first byte; what HEAD said of it counts.
func TestEmptyObject(t *testing.T) {
	obj := &file{etag: `"e"`}
	noHead := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.Header.Get("Range") != "":
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		default:
			obj.ServeHTTP(w, r)
		}
	}
	noRange := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		obj.ServeHTTP(w, r)
	}
	for _, answer := range []http.HandlerFunc{obj.ServeHTTP, noHead, noRange} {
		f := backendtest.NewScripted(t, answer)
		s := open(t, httpstore.Options{})
		info, err := list(t.Context(), s, f.URL+"/x")
		if err != nil || info.Size != 0 || info.Digest != "e" {
			t.Fatalf("got %+v, error %v, want size 0, digest e", info, err)
		}
		wantRead(t, s, info.Entry("x").Object(), 0, -1, "")
		wantRead(t, s, info.Entry("x").Object(), 5, 10, "")
	}
}

func TestSumsOfTheWhole(t *testing.T) {
	data := "0123456789"
	m, h := md5.Sum([]byte(data)), sha256.Sum256([]byte(data))
	b64 := base64.StdEncoding.EncodeToString
	obj := &file{data: data, etag: `"e"`, headers: map[string]string{
		"Content-MD5": b64(m[:]), "Repr-Digest": "sha-512=:AAAA:, sha-256=:" + b64(h[:]) + ":, md5=:AAAA:, crc32c=:!:",
	}}
	f := backendtest.NewScripted(t, obj.ServeHTTP)
	s := open(t, httpstore.Options{})
	info, err := list(t.Context(), s, f.URL+"/x")
	if err != nil {
		t.Fatal(err)
	}
	both := []manifest.Sum{{Alg: manifest.SumSHA256, Value: h[:]}, {Alg: manifest.SumMD5, Value: m[:]}}
	if !slices.EqualFunc(info.Sums, both, sameSum) {
		t.Errorf("got %v, want %v", info.Sums, both)
	}
	_, part, err := s.Open(t.Context(), byETag(f.URL+"/x", `"e"`, 10), 2, 3)
	if err != nil || !slices.EqualFunc(part.Sums, both[:1], sameSum) {
		t.Errorf("of a part: got %v, error %v, want %v", part.Sums, err, both[:1])
	}
}

func sameSum(a, b manifest.Sum) bool { return a.Alg == b.Alg && slices.Equal(a.Value, b.Value) }
