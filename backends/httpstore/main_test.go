package httpstore_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is a secret: it must be in no error; checked by wantError.
const canary = "CANARY-secret"

// fake answers as a test scripts it.
type fake = backendtest.Scripted

// file is an object that a fake serves by the rules of net/http: ranges and all
// preconditions.
type file struct {
	data     string
	etag     string
	modified time.Time
	headers  map[string]string
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.etag != "" {
		w.Header().Set("ETag", f.etag)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	for name, value := range f.headers {
		w.Header().Set(name, value)
	}
	http.ServeContent(w, r, "", f.modified, strings.NewReader(f.data))
}

// open makes a driver that sees nothing of this host's logins and proxies.
func open(t *testing.T, o httpstore.Options) *httpstore.Store {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "")
	}
	if o.NetrcFile == "" {
		o.NetrcFile = "-"
	}
	s, err := httpstore.New(o)
	return backendtest.Closed(t, s, err)
}

func netrc(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func byETag(ref, etag string, size int64) manifest.Object {
	return manifest.Entry{Path: "x", Ref: ref, Digest: strings.Trim(etag, `"`), Size: size, Extra: map[string]any{"etag": etag}}.Object()
}

func byTime(ref string, at time.Time, size int64) manifest.Object {
	text := at.UTC().Format(http.TimeFormat)
	return manifest.Entry{Path: "x", Ref: ref, Digest: ref, Size: size, Extra: map[string]any{"lastModified": text}}.Object()
}

func list(ctx context.Context, s backends.Backend, uri string) (info backends.Info, err error) {
	calls := 0
	err = s.List(ctx, uri, func(i backends.Info) error {
		calls++
		info = i
		return nil
	})
	if err == nil && calls != 1 {
		err = fmt.Errorf("got %d objects, want 1", calls)
	}
	return info, err
}

func wantRead(t *testing.T, s backends.Backend, obj manifest.Object, offset, length int64, want string) {
	t.Helper()
	if got, err := backendtest.Read(t.Context(), s, obj, offset, length); got != want || err != nil {
		t.Fatalf("read %d, %d: got %q, error %v, want %q", offset, length, got, err, want)
	}
}

// unspoken is what no error may hold; also markup and the words of the client.
func unspoken() backendtest.Secrets {
	return backendtest.Secrets{canary, "<html", `Get "`, `Head "`}
}

func wantError(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	unspoken().WantError(t, err, kind, words...)
}
