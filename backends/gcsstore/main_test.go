package gcsstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The secret must be in no error; checked by wantError.
const canary = "CANARY-secret-access-token"

// fake answers as a test scripts it.
type fake = backendtest.Scripted

// What a request is for.
func isList(r *http.Request) bool     { return strings.HasSuffix(r.URL.Path, "/o") }
func isSearch(r *http.Request) bool   { return r.URL.Query().Get("versions") == "true" }
func isContent(r *http.Request) bool  { return r.URL.Query().Get("alt") == "media" }
func isMetadata(r *http.Request) bool { return !isList(r) && !isContent(r) }

// setenv gives the test an environment of its own: no credentials, and no
// metadata server but one that refuses connections.
func setenv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT", "STORAGE_EMULATOR_HOST"} {
		t.Setenv(name, "")
	}
	t.Setenv("CLOUDSDK_CONFIG", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
}

func open(t *testing.T, o gcsstore.Options) *gcsstore.Store {
	t.Helper()
	if o.Retry.StallTimeout == 0 {
		o.Retry = backendtest.FastRetry()
	}
	s, err := gcsstore.New(t.Context(), o)
	return backendtest.Closed(t, s, err)
}

// store gives a driver without credentials for f.
func store(t *testing.T, f *fake) *gcsstore.Store {
	t.Helper()
	setenv(t)
	return open(t, gcsstore.Options{Endpoint: f.URL, Anonymous: true})
}

// Digests of "abc".
const (
	md5ABC = "kAFQmDzST7DWlj99KOF/cg=="
	crcABC = "NksxyQ=="
	refKey = "gs://bucket/dir/key"
)

// byGeneration is "abc" as it is recorded.
func byGeneration(generation string) manifest.Object {
	return manifest.Entry{Ref: refKey, Digest: "etag-1", Size: 3,
		Extra: map[string]any{"etag": "etag-1", "versionID": json.Number(generation)}}.Object()
}

// byMD5 is how W&B's SDK recorded before 0.17.
func byMD5(md5 string) manifest.Object {
	return manifest.Entry{Ref: refKey, Digest: md5, Size: 3}.Object()
}

func byETag(etag string) manifest.Object {
	return manifest.Entry{Ref: refKey, Digest: etag, Size: 3, Extra: map[string]any{"etag": etag}}.Object()
}

// object is metadata as the JSON API has it; the content is "abc" unless fields
// say otherwise.
func object(name string, generation int, fields ...string) string {
	text := fmt.Sprintf(`"name":%q,"generation":"%d","etag":"etag-%d","size":"3","md5Hash":"%s","crc32c":"%s","timeCreated":"2026-01-02T03:04:05.678Z"`,
		name, generation, generation, md5ABC, crcABC)
	for _, f := range fields { // the last of equal keys counts
		text += "," + f
	}
	return "{" + text + "}"
}

func objects(next string, items ...string) string {
	more := ""
	if next != "" {
		more = `,"nextPageToken":"` + next + `"`
	}
	return `{"items":[` + strings.Join(items, ",") + "]" + more + "}"
}

// content answers with the "abc" of a generation.
func content(w http.ResponseWriter, generation string) {
	w.Header().Set("X-Goog-Generation", generation)
	w.Header().Set("X-Goog-Hash", "crc32c="+crcABC+",md5="+md5ABC)
	w.Header().Set("Content-Length", "3")
	_, _ = io.WriteString(w, "abc")
}

// refuse answers as the JSON API does; contents are refused in plain text.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	if isContent(r) && reason != "json" {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, message)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	text, _ := json.Marshal(message)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":%s,"errors":[{"message":%s,"domain":"global","reason":%q}]}}`, status, text, text, reason)
}

// dial connects to g, whatever host is named, and without TLS.
func dial(g *google) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, g.Listener.Addr().String())
	}
}

// secrets are what no error may hold; also markup and the words of the client.
func secrets() backendtest.Secrets {
	return backendtest.Secrets{canary, "<", "googleapi", "Bearer", "storage/v1"}
}

func wantError(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	secrets().WantError(t, err, kind, words...)
}
