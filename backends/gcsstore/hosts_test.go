package gcsstore_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/manifest"
)

// TestNoBucketNamesAHost: whatever a manifest calls the bucket, the endpoint is asked,
// for an object and nothing else. A redirect is not followed.
func TestNoBucketNamesAHost(t *testing.T) {
	elsewhere := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) {})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RequestURI, "/storage/v1/b/") || strings.Contains(r.RequestURI, "/../") || !strings.HasPrefix(r.Host, "127.0.0.1:") {
			t.Errorf("got a request for %s of %s", r.RequestURI, r.Host)
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	})
	s := store(t, f)
	ask := func(bucket, key string) {
		obj := byGeneration("1")
		obj.Ref = "gs://" + bucket + "/" + key
		_, statErr := s.Stat(context.Background(), obj)
		_, openErr := backendtest.Read(context.Background(), s, obj, 0, -1)
		if statErr == nil || openErr == nil {
			t.Errorf("%q: got %v, %v, want errors", obj.Ref, statErr, openErr)
		}
	}
	hostile := []string{"bucket", "evil.com", "evil.com:80", "user@evil.com", "..", ".", "...", "169.254.169.254", "%2e%2e", "a%2fb", "évil", `a\b`, "a#b", "a?b", "a b", "/"}
	for _, bucket := range hostile {
		ask(bucket, "key")
	}
	if n := len(f.Requests()); n == 0 {
		t.Error("nobody was asked at all")
	}
	part := rapid.SampledFrom(append(hostile, "a", "@", ":", "//"))
	rapid.Check(t, func(t *rapid.T) {
		ask(strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "bucket"), ""), rapid.SampledFrom([]string{"k", "../../x", "//evil.com", "..", "a/../b"}).Draw(t, "key"))
	})
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	obj := byGeneration("1")
	obj.Ref = "gs://../o/x"
	_, err := s.Stat(t.Context(), obj)
	if manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("got %v, want KindInvalid", err)
	}
}
