package gcsstore_test

import (
	"io"
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
			_, err = backendtest.List(t.Context(), s, "gs://bucket/dir/")
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
	_, err := backendtest.List(t.Context(), s, "gs://bucket/dir/")
	wantError(t, err, manifest.KindUnreachable, "no answer in time")
	_, _, err = s.Open(t.Context(), byMD5(md5ABC), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "no answer in time")
}

// driver is this one, for what all must do alike.
func driver() *backendtest.Driver {
	return &backendtest.Driver{
		New: func(t *testing.T, url string, tr *http.Transport) backends.Backend {
			t.Helper()
			setenv(t)
			return open(t, gcsstore.Options{Endpoint: url, Transport: tr, Anonymous: true})
		},
		Object: byGeneration("7"), URI: "gs://bucket/dir/", Host: "gcs.nowhere.example", Secrets: secrets(),
		Busy:   func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 429, "rateLimitExceeded", "x") },
		IsRead: func(r *http.Request) bool { return isContent(r) },
	}
}

func TestRetryAfter(t *testing.T) {
	driver().RetryAfter(t, "Retry-After", backendtest.Waits())
}

func TestNoRetry(t *testing.T) {
	driver().NoRetry(t)
}

func TestUnreachable(t *testing.T) { driver().Unreachable(t) }

func TestEnds(t *testing.T) { driver().Ends(t) }

// TestCutAnswer: metadata that break off are no answer.
func TestCutAnswer(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if isContent(r) {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"items":[{"na`)
	}))
	_, err := s.Stat(t.Context(), byGeneration("7"))
	wantError(t, err, manifest.KindUnreachable, refKey)
	_, _, err = s.Open(t.Context(), byGeneration("7"), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "EO")
	_, err = backendtest.List(t.Context(), s, "gs://bucket")
	wantError(t, err, manifest.KindUnreachable, "gs://bucket")
}
