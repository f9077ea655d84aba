package httpstore_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestStatusesHaveKinds(t *testing.T) {
	tests := map[int]struct{ list, read manifest.Kind }{
		401: {manifest.KindDenied, manifest.KindDenied},
		403: {manifest.KindDenied, manifest.KindDenied},
		404: {manifest.KindNoSource, manifest.KindGone},
		407: {manifest.KindDenied, manifest.KindDenied},
		408: {manifest.KindUnreachable, manifest.KindUnreachable},
		410: {manifest.KindNoSource, manifest.KindGone},
		416: {manifest.KindUnreachable, manifest.KindUnreachable},
		418: {manifest.KindInvalid, manifest.KindInvalid},
		429: {manifest.KindThrottled, manifest.KindThrottled},
		451: {manifest.KindDenied, manifest.KindDenied},
		500: {manifest.KindUnreachable, manifest.KindUnreachable},
		501: {manifest.KindInvalid, manifest.KindInvalid},
		502: {manifest.KindUnreachable, manifest.KindUnreachable},
		503: {manifest.KindThrottled, manifest.KindThrottled},
	}
	for code, want := range tests {
		f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, "<html>\n"+canary)
		})
		s, ref, text := open(t, httpstore.Options{}), f.URL+"/x", fmt.Sprint(code)
		_, err := list(t.Context(), s, ref)
		wantError(t, err, want.list, ref, text)
		if want.read == manifest.KindGone {
			text = `etag:"e"`
		}
		_, err = s.Stat(t.Context(), byETag(ref, `"e"`, 5))
		wantError(t, err, want.read, ref, text)
		_, err = backendtest.Read(t.Context(), s, byETag(ref, `"e"`, 5), 0, -1)
		wantError(t, err, want.read, ref, text)
		if want.list == manifest.KindDenied && code < 404 {
			wantError(t, err, want.read, "; give a login in ~/.netrc")
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) // of a clock that is years off
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 3 ": 3 * time.Second, "-1": 0, "": 0, "soon": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := list(t.Context(), open(t, httpstore.Options{}), f.URL+"/x")
		if got := backends.RetryAfter(err); got != want {
			t.Errorf("Retry-After %q: got %v, want %v (%v)", value, got, want, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ref := "http://" + l.Addr().String() + "/x?sig=1"
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = list(t.Context(), open(t, httpstore.Options{}), ref)
	wantError(t, err, manifest.KindUnreachable, ref, "connection refused")
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	_, err = list(t.Context(), open(t, httpstore.Options{}), srv.URL+"/x")
	wantError(t, err, manifest.KindUnreachable, srv.URL, "SSL_CERT_FILE")
}

// silent accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // a test's listener
	return l.Addr().String()
}

func TestEveryWaitEnds(t *testing.T) {
	short := httpstore.Timeouts{Dial: time.Second, TLS: 50 * time.Millisecond, Header: 50 * time.Millisecond}
	s := open(t, httpstore.Options{Timeouts: short})
	for _, scheme := range []string{"http://", "https://"} {
		_, err := list(t.Context(), s, scheme+silent(t)+"/x")
		wantError(t, err, manifest.KindUnreachable, scheme)
	}
	s = open(t, httpstore.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := list(ctx, s, "http://"+silent(t)+"/x")
	wantError(t, err, manifest.KindTimeout, "http://")
}

func TestCancelEndsABody(t *testing.T) {
	stop := make(chan struct{})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, strings.Repeat("x", 500))
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	s := open(t, httpstore.Options{})
	for _, offset := range []int64{0, 700} { // in the part, and in what is before it
		ctx, cancel := context.WithCancel(t.Context())
		body, _, err := s.Open(ctx, byETag(f.URL+"/x", `"e"`, 1000), offset, 300)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err = io.Copy(io.Discard, io.MultiReader(body, body))
		if offset == 0 && err == nil { // 300 bytes had come
			body.Close()
			continue
		}
		wantError(t, err, manifest.KindCanceled, f.URL)
		body.Close()
	}
}

func TestLinkLocalIsNeverAsked(t *testing.T) {
	s := open(t, httpstore.Options{})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/"+canary, http.StatusFound)
	})
	for _, ref := range []string{"http://169.254.169.254/x", "http://[fe80::1]/x", "http://[::ffff:169.254.1.1]/x", f.URL + "/x"} {
		_, err := list(t.Context(), s, ref)
		wantError(t, err, manifest.KindDenied, ref, "link-local")
	}
}
