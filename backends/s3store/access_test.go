package s3store_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// ok answers each request with an object of three bytes.
func ok(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"e"`)
	w.Header().Set("Content-Length", "3")
	if r.Method == http.MethodGet {
		fmt.Fprint(w, "abc")
	}
}

// region gives the region that a request was signed for.
func region(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKIDTEST/")
	if parts := strings.Split(scope, "/"); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// TestRegion: a bucket that is elsewhere is asked there, with one more request
// for the first call only; HEAD, which tells nothing but the header, included.
func TestRegion(t *testing.T) {
	for name, method := range map[string]string{"HEAD": http.MethodHead, "GET": http.MethodGet} {
		for _, status := range []int{301, 400, 403} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
					if region(r) != "eu-north-1" {
						refuse(w, r, status, "PermanentRedirect", "x")
						return
					}
					ok(w, r)
				})
				s := store(t, f)
				for range 3 {
					var err error
					if method == http.MethodHead {
						_, err = s.Stat(t.Context(), byETag("e", 3))
					} else {
						_, err = backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if n := f.Count(method, ""); n != 4 {
					t.Errorf("%d requests for 3 calls, want 4: %q", n, f.Lines())
				}
			})
		}
	}
}

// TestRegionSource: option, environment, default.
func TestRegionSource(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	for _, c := range []struct{ option, env, want string }{
		{"", "", "us-east-1"}, {"", "eu-west-3", "eu-west-3"}, {"ap-south-1", "eu-west-3", "ap-south-1"},
	} {
		setkeys(t)
		t.Setenv("AWS_REGION", c.env)
		s := open(t, s3store.Options{Endpoint: f.URL, Region: c.option})
		if _, err := s.Stat(t.Context(), byETag("e", 3)); err != nil {
			t.Fatal(err)
		}
		if got := region(f.Last(t)); got != c.want {
			t.Errorf("option %q, AWS_REGION %q: signed for %q, want %q", c.option, c.env, got, c.want)
		}
	}
}

// TestAddressing: which endpoint is asked, and where the bucket goes.
func TestAddressing(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	there := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.Listener.Addr().String())
	}}
	defer there.CloseIdleConnections()
	for _, c := range []struct {
		name  string
		o     s3store.Options
		env   map[string]string
		host  string
		inURL bool
	}{
		{"IP", s3store.Options{Endpoint: "http://10.0.0.1"}, nil, "10.0.0.1", true},
		{"port", s3store.Options{Endpoint: "http://minio.example:9000"}, nil, "minio.example:9000", true},
		{"one label", s3store.Options{Endpoint: "http://minio"}, nil, "minio", true},
		{"own", s3store.Options{Endpoint: "http://s3.corp.example"}, nil, "s3.corp.example", true},
		{"own, host style", s3store.Options{Endpoint: "http://s3.corp.example", PathStyle: new(bool)}, nil, "bucket.s3.corp.example", false},
		{"CoreWeave", s3store.Options{Endpoint: "http://cwobject.com"}, nil, "bucket.cwobject.com", false},
		{"Amazon's", s3store.Options{Endpoint: "http://s3.eu-west-1.amazonaws.com"}, nil, "bucket.s3.eu-west-1.amazonaws.com", false},
		{"option first", s3store.Options{Endpoint: "http://a:1"}, map[string]string{"AWS_ENDPOINT_URL_S3": "http://b:1"}, "a:1", true},
		{"service's variable", s3store.Options{}, map[string]string{"AWS_ENDPOINT_URL_S3": "http://b:1", "AWS_ENDPOINT_URL": "http://c:1"}, "b:1", true},
		{"general variable", s3store.Options{}, map[string]string{"AWS_ENDPOINT_URL": "http://c:1", "AWS_S3_ENDPOINT_URL": "http://d:1"}, "c:1", true},
		{"W&B's variable", s3store.Options{}, map[string]string{"AWS_S3_ENDPOINT_URL": "http://d:1"}, "d:1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			setkeys(t)
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT_URL"} {
				os.Unsetenv(name) // empty is not the same to the SDK; t.Setenv restores it
			}
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			c.o.Transport = there
			s := open(t, c.o)
			if _, err := s.Stat(t.Context(), byETag("e", 3)); err != nil {
				t.Fatal(err)
			}
			r := f.Last(t)
			if got := strings.HasPrefix(r.URL.Path, "/bucket/"); r.Host != c.host || got != c.inURL {
				t.Errorf("asked %s %s, want host %s, bucket in the path: %v", r.Host, r.URL.Path, c.host, c.inURL)
			}
		})
	}
}

// TestNoCredentials says what to do; nothing is sent.
func TestNoCredentials(t *testing.T) {
	setenv(t)
	f := backendtest.NewScripted(t, ok)
	s := open(t, s3store.Options{Endpoint: f.URL})
	_, err := s.Stat(t.Context(), byETag("e", 3))
	wantError(t, err, manifest.KindDenied, "no credentials", "AWS_ACCESS_KEY_ID", "--s3-anonymous")
	if n := len(f.Lines()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestBadProfile(t *testing.T) {
	setenv(t)
	t.Setenv("AWS_PROFILE", "nobody")
	_, err := s3store.New(t.Context(), s3store.Options{})
	wantError(t, err, manifest.KindInvalid, "nobody", "AWS_PROFILE")
}

func TestAnonymousAndPayer(t *testing.T) {
	setenv(t)
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Request-Payer") != "requester" || r.Header.Get("Authorization") != "" {
			refuse(w, r, 403, "AccessDenied", "x")
			return
		}
		if strings.Contains(r.RequestURI, "versions") {
			fmt.Fprint(w, `<ListVersionsResult><Version><Key>dir/a</Key><ETag>"e"</ETag><Size>3</Size><IsLatest>true</IsLatest><VersionId>v</VersionId></Version></ListVersionsResult>`)
			return
		}
		ok(w, r)
	})
	s := open(t, s3store.Options{Endpoint: f.URL, Anonymous: true, RequesterPays: true})
	if _, err := s.Stat(t.Context(), byETag("e", 3)); err != nil {
		t.Error(err)
	}
	if _, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); err != nil {
		t.Error(err)
	}
	if infos, err := backendtest.List(t.Context(), s, "s3://bucket/dir/"); err != nil || len(infos) != 1 {
		t.Errorf("%v, %v", infos, err)
	}
}

// TestExpired: credentials that a login renews in their file are taken up, once
// for all who wait; ones that stay expired are refused.
func TestExpired(t *testing.T) {
	setenv(t)
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	file := filepath.Join(t.TempDir(), "credentials")
	login := func(key string) {
		text := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", key, canary)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	login("OLD")
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=NEW/") {
			refuse(w, r, 400, "ExpiredToken", "The provided token has expired.")
			return
		}
		ok(w, r)
	})
	s := open(t, s3store.Options{Endpoint: f.URL})
	_, err := s.Stat(t.Context(), byETag("e", 3))
	wantError(t, err, manifest.KindDenied, "expired", "renew")
	login("NEW")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Stat(t.Context(), byETag("e", 3)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestClock: a host whose clock is off by an hour corrects itself by the answer.
func TestClock(t *testing.T) {
	server := time.Now().Add(time.Hour)
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", server.UTC().Format(http.TimeFormat))
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || server.Sub(at).Abs() > 15*time.Minute {
			refuse(w, r, 403, "RequestTimeTooSkewed", "The difference is too large.")
			return
		}
		ok(w, r)
	})
	s := store(t, f)
	for range 2 {
		if _, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.Lines()); n != 3 {
		t.Errorf("%d requests for 2 calls, want 3", n)
	}
}
