package gcsstore_test

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
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/manifest"
)

// TestRefusals: what the server refuses, by each of the three calls.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("far too long ", 100)
	read, list_ := []string{"storage.objects.get"}, []string{"storage.objects.list and storage.objects.get"}
	for _, c := range []struct {
		name            string
		status          int
		reason, message string
		read, list      manifest.Kind
		words, listed   []string
	}{
		{"no object", 404, "notFound", "No such object: bucket/dir/key", manifest.KindGone, manifest.KindNoSource, []string{"expected 'generation:7'"}, []string{"no such object"}},
		{"no bucket", 404, "notFound", "The specified bucket does not exist.", manifest.KindGone, manifest.KindNoSource, nil, []string{"no such bucket"}},
		{"forbidden", 403, "forbidden", "x@y.iam does not have\n access", manifest.KindDenied, manifest.KindDenied, append(read, "x@y.iam does not have access"), list_},
		{"nobody", 401, "required", "Anonymous caller does not have storage.objects.get access", manifest.KindDenied, manifest.KindDenied, []string{"GOOGLE_APPLICATION_CREDENTIALS"}, nil},
		{"expired", 401, "authError", "Invalid Credentials", manifest.KindDenied, manifest.KindDenied, []string{"renew"}, nil},
		{"payer", 400, "required", "Bucket is a requester pays bucket but no user project provided.", manifest.KindDenied, manifest.KindDenied, []string{"--gs-user-project"}, nil},
		{"too many", 429, "rateLimitExceeded", "The rate of requests is too high.", manifest.KindThrottled, manifest.KindThrottled, []string{"too high"}, nil},
		{"quota", 403, "json", "x", manifest.KindDenied, manifest.KindDenied, nil, nil},
		{"unavailable", 503, "backendError", "x", manifest.KindThrottled, manifest.KindThrottled, nil, nil},
		{"internal", 500, "internalError", long, manifest.KindUnreachable, manifest.KindUnreachable, nil, nil},
		{"gateway", 502, "json", "<html>\n<body>bad gateway</body>", manifest.KindUnreachable, manifest.KindUnreachable, nil, nil},
		{"request timeout", 408, "x", "x", manifest.KindUnreachable, manifest.KindUnreachable, nil, nil},
		{"bad request", 400, "invalid", "Something else.", manifest.KindInvalid, manifest.KindInvalid, []string{"Something else."}, []string{"invalid: Something else."}},
		{"redirect", 302, "x", "", manifest.KindInvalid, manifest.KindInvalid, []string{"302"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				if strings.HasPrefix(c.message, "<") { // of something on the way
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.message)
					return
				}
				refuse(w, r, c.status, c.reason, c.message)
			}))
			_, _, err := s.Open(t.Context(), byGeneration("7"), 0, -1)
			wantError(t, err, c.read, append(c.words, refKey)...)
			_, err = s.Stat(t.Context(), byGeneration("7"))
			wantError(t, err, c.read, c.words...)
			_, err = list(t.Context(), s, "gs://bucket/dir/")
			wantError(t, err, c.list, append(c.listed, "gs://bucket/dir/")...)
			for _, obj := range []manifest.Object{byMD5(md5ABC), byETag("etag-1")} {
				if _, err = s.Stat(t.Context(), obj); manifest.KindOf(err) != c.read {
					t.Errorf("%v: %v, want %q", obj.Pin, err, c.read)
				}
			}
		})
	}
}

// TestQuota: Google refuses with 403 what it calls 429 elsewhere.
func TestQuota(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 403, "userRateLimitExceeded", "x") }))
	_, err := s.Stat(t.Context(), byGeneration("7"))
	wantError(t, err, manifest.KindThrottled)
}

// TestRetryAfter: the server's wait is kept, in both of its forms.
func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-3": 0, "junk": 0, "99999999999999999999": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			refuse(w, r, 429, "rateLimitExceeded", "x")
		}))
		_, statErr := s.Stat(t.Context(), byGeneration("7"))
		_, _, openErr := s.Open(t.Context(), byGeneration("7"), 0, -1)
		_, listErr := list(t.Context(), s, "gs://bucket/dir/")
		for _, err := range []error{statErr, openErr, listErr} {
			wantError(t, err, manifest.KindThrottled)
			if got := backends.RetryAfter(err); got != want {
				t.Errorf("Retry-After %q: %v, want %v", value, got, want)
			}
		}
	}
}

// TestNoRetry: the budget is the wrapper's alone.
func TestNoRetry(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 503, "backendError", "x") })
	s := store(t, f)
	_, _, _ = s.Open(t.Context(), byGeneration("7"), 0, -1)
	_, _ = s.Stat(t.Context(), byGeneration("7"))
	_, _ = list(t.Context(), s, "gs://bucket/dir/")
	if n := f.CountOf(nil); n != 3 {
		t.Errorf("%d requests for 3 calls that were refused", n)
	}
}

func TestUnreachable(t *testing.T) {
	gone := backendtest.NewScripted(t, nil)
	gone.Close()
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "gcs.nowhere.example", IsNotFound: true}}
	}}
	mute := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	junk := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"items":[{"na`)
	})
	for name, c := range map[string]struct {
		o    gcsstore.Options
		word string
	}{
		"refused": {gcsstore.Options{Endpoint: gone.URL}, "connection refused"},
		"name":    {gcsstore.Options{Endpoint: "http://gcs.nowhere.example", Transport: nowhere}, "host 'gcs.nowhere.example' does not resolve"},
		"mute":    {gcsstore.Options{Endpoint: mute.URL}, "EOF"},
		"junk":    {gcsstore.Options{Endpoint: junk.URL}, "EO"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			c.o.Anonymous = true
			s := open(t, c.o)
			_, err := s.Stat(t.Context(), byGeneration("7"))
			if name != "junk" {
				wantError(t, err, manifest.KindUnreachable, c.word)
			}
			wantError(t, err, manifest.KindUnreachable, refKey)
			_, _, err = s.Open(t.Context(), byGeneration("7"), 0, -1)
			wantError(t, err, manifest.KindUnreachable, c.word)
			_, err = list(t.Context(), s, "gs://bucket")
			wantError(t, err, manifest.KindUnreachable, "gs://bucket")
		})
	}
}

// TestEnds: a caller that gives up, and a deadline, before and in the body.
func TestEnds(t *testing.T) {
	hang := make(chan struct{})
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
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
	_, err := s.Stat(ctx, byGeneration("7"))
	wantError(t, err, manifest.KindTimeout)
	_, err = list(ctx, s, "gs://bucket")
	wantError(t, err, manifest.KindTimeout)

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	body, _, err := s.Open(ctx, byGeneration("7"), 0, -1)
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

// TestSilent: a request for metadata does not wait for ever, by itself: the
// wrapper puts no limit on pins by content.
func TestSilent(t *testing.T) {
	setenv(t)
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"name":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	s := open(t, gcsstore.Options{Endpoint: f.URL, Anonymous: true, Retry: backends.RetryPolicy{StallTimeout: 30 * time.Millisecond}})
	_, err := list(t.Context(), s, "gs://bucket/dir/")
	wantError(t, err, manifest.KindUnreachable, "no answer in time")
	_, _, err = s.Open(t.Context(), byMD5(md5ABC), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "no answer in time")
}
