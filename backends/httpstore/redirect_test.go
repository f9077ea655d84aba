package httpstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"
)

func header(t *testing.T, text string) httpstore.Header {
	t.Helper()
	h, err := httpstore.ParseHeader(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// alias is f's address by another host name of this host.
func alias(f *fake) string { return strings.Replace(f.URL, "127.0.0.1", "localhost", 1) }

// secrets are the logins and headers of the tests, for one host.
func secrets(t *testing.T, host string) httpstore.Options {
	t.Helper()
	return httpstore.Options{
		Headers:   []httpstore.Header{header(t, host+" X-Key: "+canary), header(t, host+" Cookie: "+canary)},
		NetrcFile: netrc(t, "machine "+host+"\n  login me\n  password "+canary+"\n"),
	}
}

func hasSecrets(r *http.Request) bool {
	_, password, _ := r.BasicAuth()
	return password == canary && r.Header.Get("X-Key") == canary && r.Header.Get("Cookie") == canary
}

func wantNoSecrets(t *testing.T, r *http.Request) {
	t.Helper()
	for name, values := range r.Header {
		if name == "Authorization" || name == "Referer" || strings.Contains(fmt.Sprint(values), canary) {
			t.Errorf("%s %s came with %s: %v", r.Method, r.URL.Path, name, values)
		}
	}
}

func TestCredentialsGoToTheirHost(t *testing.T) {
	f := backendtest.NewScripted(t, (&file{data: "0123456789", etag: `"e"`}).ServeHTTP)
	s := open(t, secrets(t, "127.0.0.1"))
	if _, err := list(t.Context(), s, f.URL+"/x"); err != nil || !hasSecrets(f.Last(t)) {
		t.Errorf("got %v, error %v, want all secrets", f.Last(t).Header, err)
	}
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 10), 2, 3, "234")
	if !hasSecrets(f.Last(t)) {
		t.Errorf("got %v, want all secrets", f.Last(t).Header)
	}
	if _, err := list(t.Context(), s, alias(f)+"/x"); err != nil {
		t.Fatal(err)
	}
	wantNoSecrets(t, f.Last(t))
}

func TestCredentialsStayAtTheOrigin(t *testing.T) {
	obj := &file{data: "0123456789", etag: `"e"`}
	var far, near *fake
	far = backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			http.Redirect(w, r, near.URL+"/object", http.StatusTemporaryRedirect)
			return
		}
		obj.ServeHTTP(w, r)
	})
	near = backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/near": near.URL + "/object", "/port": far.URL + "/object", "/name": alias(far) + "/object", "/back": far.URL + "/back"}[r.URL.Path]
		if to == "" {
			obj.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, to+"?X-Amz-Signature="+canary, http.StatusFound)
	})
	s := open(t, secrets(t, "127.0.0.1"))
	for path, server := range map[string]*fake{"/port": far, "/name": far, "/back": near} {
		info, err := list(t.Context(), s, near.URL+path)
		if err != nil || info.Ref != near.URL+path || info.Name != path[1:] {
			t.Fatalf("%s: got %+v, error %v, want the URL as typed", path, info, err)
		}
		wantNoSecrets(t, server.Last(t))
		wantRead(t, s, info.Entry("x").Object(), 2, 3, "234")
		last := server.Last(t)
		wantNoSecrets(t, last)
		if last.Header.Get("Range") != "bytes=2-4" || last.Header.Get("If-Match") != `"e"` || last.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: got %v, want the range, the pin and no coding", path, last.Header)
		}
	}
	if _, err := list(t.Context(), s, near.URL+"/near"); err != nil || !hasSecrets(near.Last(t)) {
		t.Errorf("got %v, error %v, want the secrets kept at one origin", near.Last(t).Header, err)
	}
	if near.Last(t).Header.Get("Referer") != "" {
		t.Error("got a Referer, want none")
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	plain := backendtest.NewScripted(t, (&file{data: "x", etag: `"e"`}).ServeHTTP)
	to := func(target string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target+"?sig="+canary, http.StatusFound)
		})
	}
	secure := httptest.NewTLSServer(to(plain.URL + "/" + canary))
	defer secure.Close()
	s := open(t, httpstore.Options{Transport: secure.Client().Transport.(*http.Transport).Clone()})
	_, err := list(t.Context(), s, secure.URL+"/x")
	wantError(t, err, manifest.KindDenied, secure.URL+"/x", "from https to http")
	if len(plain.Requests()) != 0 {
		t.Error("the plain server was asked")
	}
	for target, word := range map[string]string{
		"/loop":                        "more than 10 times",
		"ftp://host/" + canary:         "no web server",
		"file:///etc/passwd":           "no web server",
		"http://127.0.0.1:1/" + canary: "the server that it redirects to: connect: connection refused",
	} {
		f := backendtest.NewScripted(t, to(target).ServeHTTP)
		_, err := list(t.Context(), open(t, httpstore.Options{}), f.URL+"/x")
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), f.URL+"/x") {
			t.Errorf("to %s: got %v, want %q", target, err, word)
		}
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), ":1/") {
			t.Errorf("got %q, want no target in it", err)
		}
		if got := len(f.Requests()); got > 11 {
			t.Errorf("got %d requests, want 11 at most", got)
		}
	}
}

func TestTenRedirectsAreFollowed(t *testing.T) {
	obj := &file{data: "x", etag: `"e"`}
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if n := len(r.URL.Path); n < 12 {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusMovedPermanently)
			return
		}
		obj.ServeHTTP(w, r)
	})
	if _, err := list(t.Context(), open(t, httpstore.Options{}), f.URL+"/x"); err != nil {
		t.Error(err)
	}
}

// A body that breaks off behind a redirect does not tell where that led.
func TestBrokenBehindARedirect(t *testing.T) {
	far := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "01234")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	near := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, far.URL+"/"+canary, http.StatusFound)
	})
	_, err := backendtest.Read(t.Context(), open(t, httpstore.Options{}), byETag(near.URL+"/x", `"e"`, 10), 0, -1)
	wantError(t, err, manifest.KindUnreachable, near.URL, "5 bytes before its end: the server that it redirects to")
	if u, _ := url.Parse(far.URL); strings.Contains(err.Error(), u.Host) {
		t.Errorf("got %q, want no target in it", err)
	}
}

func TestHeadersAreParsed(t *testing.T) {
	h := header(t, "  Example.ORG:8080   authorization:  Bearer a:b c ")
	if h != (httpstore.Header{Host: "example.org:8080", Name: "Authorization", Value: "Bearer a:b c"}) {
		t.Errorf("got %+v", h)
	}
	for _, text := range []string{
		"", "host", "host name", "host : v", "https://host X: " + canary, "ho/st X: " + canary, ":80 X: y", "u:p@host X: " + canary,
		"host X Y: " + canary, "host X: a\r\nY: " + canary, "host Range: bytes=0-1", "host if-match: x", "host Accept-Encoding: gzip", "host Host: x",
	} {
		_, err := httpstore.ParseHeader(text)
		wantError(t, err, manifest.KindInvalid, `write "HOST Name: value"`)
	}
}

func TestNetrc(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		(&file{data: "x", etag: `"e"`}).ServeHTTP(w, r)
	})
	for text, ok := range map[string]bool{
		"machine 127.0.0.1 login u password right":                                       true,
		"# note\nmachine other login u password no\nmachine 127.0.0.1\n\tpassword right": true,
		"default login u password right":                                                 true,
		"default login u password no machine 127.0.0.1 login u password right":           true,
		"machine 127.0.0.1 login u password wrong":                                       false,
		"machine localhost login u password right":                                       false,
		"": false,
	} {
		_, err := list(t.Context(), open(t, httpstore.Options{NetrcFile: netrc(t, text)}), f.URL+"/x")
		if (err == nil) != ok {
			t.Errorf("%q: got error %v, want %v", text, err, ok)
		}
	}
	for _, path := range []string{"/no/such/file", t.TempDir(), netrc(t, "machine"), netrc(t, strings.Repeat("# x\n", 1<<19))} {
		_, err := httpstore.New(httpstore.Options{NetrcFile: path})
		wantError(t, err, manifest.KindInvalid, "read netrc: "+path)
	}
}

// A login that changes in the file is used as soon as the old one is refused.
func TestNetrcIsReadAgain(t *testing.T) {
	want := "old"
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		(&file{data: "x", etag: `"e"`}).ServeHTTP(w, r)
	})
	path := netrc(t, "machine 127.0.0.1 login u password old")
	s := open(t, httpstore.Options{NetrcFile: path})
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 1), 0, -1, "x")
	want = "new"
	_, err := backendtest.Read(t.Context(), s, byETag(f.URL+"/x", `"e"`, 1), 0, -1)
	wantError(t, err, manifest.KindDenied)
	if err := os.WriteFile(path, []byte("machine 127.0.0.1 login u password new"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, 1), 0, -1, "x")
}

// The wrapper resumes a body that breaks off, at its offset and with its pin.
func TestResumedByTheWrapper(t *testing.T) {
	data := strings.Repeat("0123456789", 100_000)
	obj := &file{data: data, etag: `"e"`}
	opens := 0
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if opens++; opens == 1 {
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			fmt.Fprint(w, data[:300_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		obj.ServeHTTP(w, r)
	})
	s := backends.Wrap(open(t, httpstore.Options{}), backends.Options{Retry: backends.RetryPolicy{FirstWait: time.Millisecond}})
	wantRead(t, s, byETag(f.URL+"/x", `"e"`, int64(len(data))), 0, -1, data)
	if got := f.Last(t).Header.Get("Range"); opens != 2 || !strings.HasPrefix(got, "bytes=") || got == "bytes=0-" {
		t.Errorf("got %d opens, the last with Range %q, want 2 and a later start", opens, got)
	}
}
