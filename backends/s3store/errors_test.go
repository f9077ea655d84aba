package s3store_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

// TestRefusals: what the server refuses, by each of the three calls.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("far too long ", 100)
	for _, c := range []struct {
		status        int
		code, message string
		read, list    manifest.Kind
		words         []string
	}{
		{404, "NoSuchKey", "The specified key does not exist.", manifest.KindGone, manifest.KindNoSource, nil},
		{404, "NoSuchBucket", "x", manifest.KindGone, manifest.KindNoSource, []string{"no such bucket"}},
		{404, "NoSuchVersion", "x", manifest.KindGone, manifest.KindNoSource, nil},
		{400, "InvalidArgument", "Invalid version id specified", manifest.KindGone, manifest.KindNoSource, nil},
		{403, "AccessDenied", "User: arn:aws:iam::1:user/x\n is not authorized", manifest.KindDenied, manifest.KindDenied, []string{"AccessDenied: User: arn:aws:iam::1:user/x is not", "s3:GetObjectVersion"}},
		{403, "InvalidAccessKeyId", "x", manifest.KindDenied, manifest.KindDenied, []string{"renew"}},
		{403, "SignatureDoesNotMatch", "x", manifest.KindDenied, manifest.KindDenied, []string{"correct"}},
		{403, "RequestTimeTooSkewed", "x", manifest.KindDenied, manifest.KindDenied, []string{"clock"}},
		{400, "ExpiredToken", "x", manifest.KindDenied, manifest.KindDenied, []string{"renew"}},
		{401, "Unauthorized", "x", manifest.KindDenied, manifest.KindDenied, nil},
		{403, "InvalidObjectState", "x", manifest.KindDenied, manifest.KindDenied, []string{"archived"}},
		{301, "PermanentRedirect", "x", manifest.KindInvalid, manifest.KindInvalid, []string{"--s3-region"}},
		{400, "AuthorizationHeaderMalformed", "expecting 'eu-west-1'", manifest.KindInvalid, manifest.KindInvalid, []string{"--s3-region", "eu-west-1"}},
		{503, "SlowDown", "x", manifest.KindThrottled, manifest.KindThrottled, []string{"SlowDown"}},
		{503, "ServiceUnavailable", "x", manifest.KindThrottled, manifest.KindThrottled, nil},
		{429, "TooManyRequests", "x", manifest.KindThrottled, manifest.KindThrottled, nil},
		{500, "InternalError", long, manifest.KindUnreachable, manifest.KindUnreachable, nil},
		{502, "<html>\n<body>bad gateway</body>", "x", manifest.KindUnreachable, manifest.KindUnreachable, nil},
		{400, "RequestTimeout", "x", manifest.KindUnreachable, manifest.KindUnreachable, nil},
		{400, "SomethingElse", "x", manifest.KindInvalid, manifest.KindInvalid, []string{"SomethingElse"}},
	} {
		t.Run(c.code[:min(len(c.code), 28)], func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, c.status, c.code, c.message) }))
			_, _, err := s.Open(t.Context(), byVersion("v", "e", 3), 0, -1)
			wantError(t, err, c.read, append(c.words, "s3://bucket/dir/key")...)
			_, err = s.Stat(t.Context(), byVersion("v", "e", 3))
			if kind := manifest.KindOf(err); kind != c.read && c.status != 400 {
				t.Errorf("Stat: %v, want %q", err, c.read)
			}
			_, err = list(t.Context(), s, "s3://bucket/dir/")
			wantError(t, err, c.list, c.words...)
		})
	}
}

// TestRetryAfter: the server's wait is kept, in both of its forms.
func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-3": 0, "junk": 0, "99999999999999999999": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			refuse(w, r, 503, "SlowDown", "x")
		}))
		_, err := s.Stat(t.Context(), byETag("e", 3))
		wantError(t, err, manifest.KindThrottled)
		if got := backends.RetryAfter(err); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

// TestNoRetry: the budget is the wrapper's alone.
func TestNoRetry(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 503, "SlowDown", "x") })
	s := store(t, f)
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	_, _, _ = s.Open(t.Context(), byETag("e", 3), 0, -1)
	if n := len(f.Lines()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	_, _ = list(t.Context(), s, "s3://bucket/dir/")
	if n := len(f.Lines()); n != 2 {
		t.Errorf("%d requests after a listing that gave nothing, want 2", n)
	}
}

func TestUnreachable(t *testing.T) {
	setkeys(t)
	gone := backendtest.NewScripted(t, nil)
	gone.Close()
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "s3.nowhere.example", IsNotFound: true}}
	}}
	mute := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, c := range map[string]struct {
		o    s3store.Options
		word string
	}{
		"refused": {s3store.Options{Endpoint: gone.URL}, "connection refused"},
		"name":    {s3store.Options{Endpoint: "http://s3.nowhere.example", Transport: nowhere}, "host 's3.nowhere.example' does not resolve"},
		"mute":    {s3store.Options{Endpoint: mute.URL}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.o)
			_, err := s.Stat(t.Context(), byETag("e", 3))
			wantError(t, err, manifest.KindUnreachable, c.word)
			_, _, err = s.Open(t.Context(), byETag("e", 3), 0, -1)
			wantError(t, err, manifest.KindUnreachable, c.word)
			_, err = list(t.Context(), s, "s3://bucket")
			wantError(t, err, manifest.KindUnreachable, c.word)
		})
	}
}

// TestEnds: a caller that gives up, and a deadline, before and in the body.
func TestEnds(t *testing.T) {
	hang := make(chan struct{})
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && !strings.Contains(r.RequestURI, "list") {
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-hang:
		}
	}))
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Stat(ctx, byETag("e", 3))
	wantError(t, err, manifest.KindTimeout)
	_, err = list(ctx, s, "s3://bucket")
	wantError(t, err, manifest.KindTimeout)

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	body, _, err := s.Open(ctx, byETag("e", 3), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	time.AfterFunc(20*time.Millisecond, cancel)
	got, err := io.ReadAll(body)
	wantError(t, err, manifest.KindCanceled)
	if string(got) != "a" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", got, err)
	}
}
