package s3store_test

import (
	"net/http"
	"strings"
	"testing"

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
			_, err = backendtest.List(t.Context(), s, "s3://bucket/dir/")
			wantError(t, err, c.list, c.words...)
		})
	}
}

// driver is this one, for what all must do alike.
func driver() *backendtest.Driver {
	return &backendtest.Driver{
		New: func(t *testing.T, url string, tr *http.Transport) backends.Backend {
			t.Helper()
			setkeys(t)
			return open(t, s3store.Options{Endpoint: url, Transport: tr})
		},
		Object: byETag("e", 3), URI: "s3://bucket/dir/", Host: "s3.nowhere.example", Secrets: secrets(),
		Busy: func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 503, "SlowDown", "x") },
		IsRead: func(r *http.Request) bool {
			return r.Method == http.MethodGet && !strings.Contains(r.RequestURI, "list")
		},
		Header: http.Header{"Etag": {`"e"`}},
	}
}

func TestRetryAfter(t *testing.T) {
	driver().RetryAfter(t, "Retry-After", backendtest.Waits())
}

func TestNoRetry(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	driver().NoRetry(t)
}

func TestUnreachable(t *testing.T) { driver().Unreachable(t) }

func TestEnds(t *testing.T) { driver().Ends(t) }
