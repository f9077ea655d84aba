package azstore_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/backends/backendtest"
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
		{404, "BlobNotFound", "The specified blob does not exist.", manifest.KindGone, manifest.KindNoSource, nil},
		{404, "ContainerNotFound", "x", manifest.KindGone, manifest.KindNoSource, []string{"no such container"}},
		{409, "ContainerBeingDeleted", "x", manifest.KindGone, manifest.KindNoSource, []string{"no such container"}},
		{404, "", "", manifest.KindGone, manifest.KindNoSource, nil},
		{400, "InvalidQueryParameterValue", "x", manifest.KindGone, manifest.KindInvalid, nil},
		{403, "AuthorizationPermissionMismatch", "This request is not authorized\n to perform this", manifest.KindDenied, manifest.KindDenied, []string{"AuthorizationPermissionMismatch: This request is not authorized to perform this", "Storage Blob Data Reader"}},
		{403, "AuthorizationFailure", "x", manifest.KindDenied, manifest.KindDenied, []string{"network rules"}},
		{403, "AuthenticationFailed", "x", manifest.KindDenied, manifest.KindDenied, []string{"renew or correct"}},
		{401, "InvalidAuthenticationInfo", "x", manifest.KindDenied, manifest.KindDenied, []string{"renew"}},
		{403, "KeyBasedAuthenticationNotPermitted", "x", manifest.KindDenied, manifest.KindDenied, []string{"az login"}},
		{409, "PublicAccessNotPermitted", "x", manifest.KindDenied, manifest.KindDenied, []string{"AZURE_STORAGE_KEY"}},
		{409, "BlobArchived", "x", manifest.KindDenied, manifest.KindDenied, []string{"rehydrate"}},
		{503, "ServerBusy", "The server is busy.", manifest.KindThrottled, manifest.KindThrottled, []string{"ServerBusy"}},
		{429, "TooManyRequests", "x", manifest.KindThrottled, manifest.KindThrottled, nil},
		{503, "", "", manifest.KindThrottled, manifest.KindThrottled, nil},
		{500, "InternalError", long, manifest.KindUnreachable, manifest.KindUnreachable, nil},
		{500, "OperationTimedOut", "x", manifest.KindUnreachable, manifest.KindUnreachable, nil},
		{502, "", "", manifest.KindUnreachable, manifest.KindUnreachable, []string{"502"}},
		{400, "InvalidHeaderValue", "The API version 2099-01-01 is not supported by Azurite.", manifest.KindInvalid, manifest.KindInvalid, []string{"--skipApiVersionCheck"}},
		{301, "", "", manifest.KindInvalid, manifest.KindInvalid, []string{"301"}},
		{400, "SomethingElse", "at https://x/y?sp=rl&sig=" + canarySig + "&z", manifest.KindInvalid, manifest.KindInvalid, []string{"SomethingElse"}},
	} {
		t.Run(c.code+http.StatusText(c.status), func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, c.status, c.code, c.message) }))
			_, _, err := s.Open(t.Context(), byVersion("v", "e", 3), 0, -1)
			wantError(t, err, c.read, append(c.words, "azblob://acct/cont/dir/key")...)
			_, err = s.Stat(t.Context(), byVersion("v", "e", 3))
			if kind := manifest.KindOf(err); kind != c.read && c.code != "InvalidHeaderValue" {
				t.Errorf("Stat: %v, want %q", err, c.read)
			}
			_, err = backendtest.List(t.Context(), s, "azblob://acct/cont/dir/")
			wantError(t, err, c.list, c.words...)
		})
	}
}

// TestClock: a host whose clock is off is told so, not to look at its key.
func TestClock(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		refuse(w, r, 403, "AuthenticationFailed", "x")
	}))
	_, err := s.Stat(t.Context(), byETag("e", 3))
	wantError(t, err, manifest.KindDenied, "clock")
}

// driver is this one, for what all must do alike.
func driver() *backendtest.Driver {
	return &backendtest.Driver{
		New: func(t *testing.T, url string, tr *http.Transport) backends.Backend {
			t.Helper()
			setkeys(t)
			return open(t, azstore.Options{Endpoint: url, Transport: tr})
		},
		Object: byETag("e", 3), URI: "azblob://acct/cont/dir/", Host: "acct.nowhere.example", NoHost: []string{"account's name"}, Secrets: secrets(),
		Busy:   func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 503, "ServerBusy", "x") },
		IsRead: func(r *http.Request) bool { return r.Method == http.MethodGet && !r.URL.Query().Has("comp") },
		Header: http.Header{"Etag": {`"e"`}},
	}
}

func TestRetryAfter(t *testing.T) {
	d := driver()
	d.RetryAfter(t, "Retry-After", backendtest.Waits())
	d.RetryAfter(t, "x-ms-retry-after-ms", map[string]time.Duration{"1500": 1500 * time.Millisecond})
	d.RetryAfter(t, "retry-after-ms", map[string]time.Duration{"20": 20 * time.Millisecond})
}

func TestNoRetry(t *testing.T) {
	driver().NoRetry(t)
}

func TestUnreachable(t *testing.T) { driver().Unreachable(t) }

func TestEnds(t *testing.T) { driver().Ends(t) }
