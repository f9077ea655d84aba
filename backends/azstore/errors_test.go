package azstore_test

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
			_, err = list(t.Context(), s, "azblob://acct/cont/dir/")
			wantError(t, err, c.list, c.words...)
		})
	}
}

// TestRetryAfter: the server's wait is kept, in all of its forms.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second}, {"Retry-After", "", 0}, {"Retry-After", "-3", 0}, {"Retry-After", "junk", 0},
		{"Retry-After", "99999999999999999999", 0},
		{"Retry-After", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0},
		{"x-ms-retry-after-ms", "1500", 1500 * time.Millisecond}, {"retry-after-ms", "20", 20 * time.Millisecond},
	} {
		s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(c.header, c.value)
			refuse(w, r, 503, "ServerBusy", "x")
		}))
		_, err := s.Stat(t.Context(), byETag("e", 3))
		wantError(t, err, manifest.KindThrottled)
		if got := backends.RetryAfter(err); got != c.want {
			t.Errorf("%s %q: %v, want %v", c.header, c.value, got, c.want)
		}
	}
}

// TestNoRetry: the budget is the wrapper's alone.
func TestNoRetry(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 503, "ServerBusy", "x") })
	s := store(t, f)
	_, _, _ = s.Open(t.Context(), byETag("e", 3), 0, -1)
	if n := len(f.Lines()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	_, _ = list(t.Context(), s, "azblob://acct/cont/dir/")
	if n := len(f.Lines()); n != 2 {
		t.Errorf("%d requests after a listing that gave nothing, want 2", n)
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

func TestUnreachable(t *testing.T) {
	setkeys(t)
	gone := backendtest.NewScripted(t, nil)
	gone.Close()
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "acct.nowhere.example", IsNotFound: true}}
	}}
	mute := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, c := range map[string]struct {
		o     azstore.Options
		words []string
	}{
		"refused": {azstore.Options{Endpoint: gone.URL}, []string{"connection refused"}},
		"name":    {azstore.Options{Endpoint: "http://acct.nowhere.example", Transport: nowhere}, []string{"host 'acct.nowhere.example' does not resolve", "account's name"}},
		"mute":    {azstore.Options{Endpoint: mute.URL}, []string{"EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.o)
			_, err := s.Stat(t.Context(), byETag("e", 3))
			wantError(t, err, manifest.KindUnreachable, c.words...)
			_, _, err = s.Open(t.Context(), byETag("e", 3), 0, -1)
			wantError(t, err, manifest.KindUnreachable, c.words...)
			_, err = list(t.Context(), s, "azblob://acct/cont")
			wantError(t, err, manifest.KindUnreachable, c.words...)
		})
	}
}

// TestEnds: a caller that gives up, and a deadline, before and in the body.
func TestEnds(t *testing.T) {
	hang := make(chan struct{})
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && !r.URL.Query().Has("comp") {
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
	_, err = list(ctx, s, "azblob://acct/cont")
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
