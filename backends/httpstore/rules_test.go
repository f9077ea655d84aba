package httpstore_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"
)

func ruled(t *testing.T, allow ...string) httpstore.Options {
	t.Helper()
	r, err := backends.NewRules(backends.RulesOptions{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	return httpstore.Options{Rules: r}
}

// TestRedirectsByRules: each hop is looked at, and the message shows no more of where
// it led than the host.
func TestRedirectsByRules(t *testing.T) {
	to := ""
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" || !strings.HasPrefix(r.URL.Path, "/way") {
			(&file{data: "0123456789", etag: `"e"`}).ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	})
	for target, word := range map[string]string{
		"http://169.254.169.254/" + canary + "?sig=" + canary: "--allow http://169.254.169.254/",
		"http://2852039166/" + canary:                         "link-local",
		"http://[::ffff:a9fe:a9fe]/" + canary:                 "link-local",
		"http://metadata.google.internal/" + canary:           "metadata service",
		"http://0.0.0.0:1/" + canary:                          "no address",
	} {
		to = target
		s := open(t, ruled(t))
		_, err := list(t.Context(), s, f.URL+"/way")
		wantError(t, err, manifest.KindDenied, f.URL+"/way", "the server redirects", word)
		_, err = backendtest.Read(t.Context(), s, byETag(f.URL+"/way", `"e"`, 10), 0, -1)
		wantError(t, err, manifest.KindDenied, f.URL+"/way", word)
	}
	far := alias(f)
	to = far + "/object"
	s := open(t, ruled(t, f.URL+"/way"))
	_, err := backendtest.Read(t.Context(), s, byETag(f.URL+"/way", `"e"`, 10), 0, -1)
	wantError(t, err, manifest.KindDenied, f.URL+"/way", "--allow "+far+"/")
	wantRead(t, open(t, ruled(t, f.URL+"/way", far)), byETag(f.URL+"/way", `"e"`, 10), 0, -1, "0123456789")
}

// TestRulesBeforeTheRequest: no connection is made, and none through a proxy.
func TestRulesBeforeTheRequest(t *testing.T) {
	proxy := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s := open(t, ruled(t, "http://host.example/data"))
	t.Setenv("HTTP_PROXY", proxy.URL)
	for _, ref := range []string{"http://169.254.169.254/x", "http://0xa9fea9fe/x", "http://host.example/other", "http://other.example/data", "http://metadata.goog/x"} {
		_, err := list(t.Context(), s, ref)
		wantError(t, err, manifest.KindDenied, ref)
	}
	if got := len(proxy.Requests()); got != 0 {
		t.Errorf("the proxy got %d requests", got)
	}
}
