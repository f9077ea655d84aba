package s3store_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

var errNobody = errors.New("nobody is asked in this test")

// dials is a transport that connects to nobody and notes where it should.
func dials(t *testing.T, hosts *[]string) *http.Transport {
	t.Helper()
	tr := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		*hosts = append(*hosts, addr)
		return nil, errNobody
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// TestNoBucketNamesAHost: whatever a manifest calls the bucket, the endpoint is asked,
// or a name below it.
func TestNoBucketNamesAHost(t *testing.T) {
	setkeys(t)
	hostile := []string{"bucket", "Bucket", "evil.com", "evil.com#", "evil.com?", "evil.com/", "user@evil.com", "@evil.com", "evil.com:80", "evil.com%2f", `evil.com\`, "..", ".",
		"169.254.169.254", "0xa9fea9fe", "2852039166", "[fe80::1]", "localhost", "a..b", "-", "_", "evil.com\n", "evil.com\x00", "évil", "..evil.com", "evil.com.",
		"arn:aws:s3:us-east-1:123456789012:accesspoint/x", "arn:aws:s3-outposts:evil:1:outpost/o/accesspoint/x", "x--use1-az4--x-s3", "x--evil.com--x-s3",
		"test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3", "test-accessp-e0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kebeta0--op-s3", "x-s3alias", strings.Repeat("a", 300)}
	for name, c := range map[string]struct {
		o    s3store.Options
		host string
	}{
		"AWS":        {s3store.Options{}, "amazonaws.com:443"},
		"path style": {s3store.Options{Endpoint: "http://127.0.0.1:9000", PathStyle: new(bool)}, "127.0.0.1:9000"},
		"an address": {s3store.Options{Endpoint: "http://127.0.0.1:9000"}, "127.0.0.1:9000"},
		"a name":     {s3store.Options{Endpoint: "https://s3.corp.example:8443"}, "s3.corp.example:8443"},
		"host style": {s3store.Options{Endpoint: "https://s3.corp.example", PathStyle: new(bool)}, "s3.corp.example:443"},
	} {
		t.Run(name, func(t *testing.T) {
			var hosts []string
			if name == "path style" {
				*c.o.PathStyle = true
			}
			c.o.Transport = dials(t, &hosts)
			s := open(t, c.o)
			asked := 0
			ask := func(t interface{ Fatalf(string, ...any) }, bucket, key string) {
				hosts = nil
				obj := byETag("e", 3)
				obj.Ref = "s3://" + bucket + "/" + key
				_, statErr := s.Stat(context.Background(), obj)
				_, openErr := backendtest.Read(context.Background(), s, obj, 0, -1)
				for _, host := range hosts {
					if host != c.host && !strings.HasSuffix(host, "."+c.host) {
						t.Fatalf("%q: %s was dialed, want %s or a name below it", obj.Ref, host, c.host)
					}
				}
				for _, err := range []error{statErr, openErr} {
					if kind := manifest.KindOf(err); len(hosts) == 0 && kind != manifest.KindInvalid && kind != manifest.KindDenied {
						t.Fatalf("%q: got %v without a question, want KindInvalid or KindDenied", obj.Ref, err)
					}
				}
				asked += len(hosts)
			}
			for _, bucket := range hostile {
				ask(t, bucket, "key")
			}
			if asked == 0 {
				t.Error("nobody was asked at all")
			}
			part := rapid.SampledFrom(append(hostile, "a", ".", "/", "@", "#", "?", "://", "--x-s3", ":", "%", "\\"))
			rapid.Check(t, func(t *rapid.T) {
				ask(t, strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "bucket"), ""), rapid.SampledFrom([]string{"k", "../../x", "//evil.com/x", "@evil.com", "\\evil.com"}).Draw(t, "key"))
			})
		})
	}
}

// TestEndpointsByRules: the endpoint may be where the user likes; a redirect and a
// bucket's own name may not.
func TestEndpointsByRules(t *testing.T) {
	setkeys(t)
	rules, err := backends.NewRules(backends.RulesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	to := ""
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	})
	for _, target := range []string{"http://169.254.169.254/latest", "http://metadata.google.internal/x", "http://[fe80::1]/x", "http://0/x"} {
		to = target
		s := open(t, s3store.Options{Endpoint: f.URL, Rules: rules})
		_, err := s.Stat(t.Context(), byETag("e", 3))
		secrets().WantError(t, err, manifest.KindDenied, "s3://bucket/dir/key")
		_, err = backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
		secrets().WantError(t, err, manifest.KindDenied, "s3://bucket/dir/key")
	}
	style := false
	s := open(t, s3store.Options{Endpoint: "http://s3.localhost:1", PathStyle: &style, Rules: rules})
	if _, err := s.Stat(t.Context(), byETag("e", 3)); manifest.KindOf(err) == manifest.KindDenied {
		t.Errorf("got %v, want it asked", err)
	}
}
