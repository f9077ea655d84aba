package azstore_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Secrets that must be in no error; checked by wantError.
const (
	canaryKey = "Q0FOQVJZIHNlY3JldCBrZXkgb2YgYW4gYWNjb3VudA=="
	canarySig = "CANARYsignature%2Bof%3D"
	sas       = "sv=2021-06-08&ss=b&srt=sco&sp=rl&se=2030-01-01T00:00:00Z&sig=" + canarySig
)

// fake answers as a test scripts it.
type fake = backendtest.Scripted

// transport sends every request of any host, https ones included, to the fake in
// plain text.
func transport(t *testing.T, f *fake) *http.Transport {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.Listener.Addr().String())
	}
	tr := &http.Transport{DialContext: dial, DialTLSContext: dial, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// setenv gives the test an environment of its own, in which nobody asks the
// network for a token.
func setenv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
		"AZURE_STORAGE_SERVICE_ENDPOINT", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST",
		"AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET"} {
		t.Setenv(name, "")
		os.Unsetenv(name) // empty is not the same to the SDK; t.Setenv restores it
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
}

// setkeys gives the account "acct" a key.
func setkeys(t *testing.T) {
	t.Helper()
	setenv(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "acct")
	t.Setenv("AZURE_STORAGE_KEY", canaryKey)
}

func open(t *testing.T, o azstore.Options) *azstore.Store {
	t.Helper()
	o.Retry = backendtest.FastRetry()
	s, err := azstore.New(t.Context(), o)
	return backendtest.Closed(t, s, err)
}

// store reads the account "acct" at f, with a key.
func store(t *testing.T, f *fake) *azstore.Store {
	t.Helper()
	setkeys(t)
	return open(t, azstore.Options{Endpoint: f.URL})
}

func byVersion(version, etag string, size int64) manifest.Object {
	return manifest.Object{Ref: "azblob://acct/cont/dir/key", Pin: manifest.Pin{Kind: manifest.PinVersion, Value: version}, Digest: etag, Size: size}
}

func byETag(etag string, size int64) manifest.Object {
	return manifest.Object{Ref: "azblob://acct/cont/dir/key", Pin: manifest.Pin{Kind: manifest.PinETag, Value: etag}, Digest: etag, Size: size}
}

// refuse answers as Azure does when it refuses.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Ms-Error-Code", code)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead && code != "" {
		fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s\nRequestId:01234567-89ab\nTime:2026-01-02T03:04:05Z</Message></Error>", code, message)
	}
}

// ok answers each request with a blob of three bytes.
func ok(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"e"`)
	w.Header().Set("X-Ms-Blob-Type", "BlockBlob")
	w.Header().Set("Content-Length", "3")
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "abc")
	}
}

// secrets are what no error may hold; also markup and the words of the client.
func secrets() backendtest.Secrets {
	return backendtest.Secrets{canaryKey, canarySig, "CANARY"}
}

func wantError(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	secrets().WantError(t, err, kind, words...)
}
