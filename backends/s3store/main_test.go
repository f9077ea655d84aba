package s3store_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The secret must be in no error; checked by wantError.
const canary = "CANARY/secret+access=key"

// fake answers as a test scripts it.
type fake = backendtest.Scripted

// setenv gives the test an environment of its own.
func setenv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func setkeys(t *testing.T) {
	t.Helper()
	setenv(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", canary)
}

func open(t *testing.T, o s3store.Options) *s3store.Store {
	t.Helper()
	o.Retry = backendtest.FastRetry()
	s, err := s3store.New(t.Context(), o)
	return backendtest.Closed(t, s, err)
}

func store(t *testing.T, f *fake) *s3store.Store {
	t.Helper()
	setkeys(t)
	return open(t, s3store.Options{Endpoint: f.URL})
}

func byETag(etag string, size int64) manifest.Object {
	return manifest.Object{Ref: "s3://bucket/dir/key", Digest: etag, Size: size, Pin: manifest.Pin{Kind: manifest.PinETag, Value: etag}}
}

func byVersion(version, etag string, size int64) manifest.Object {
	o := byETag(etag, size)
	o.Pin = manifest.Pin{Kind: manifest.PinVersion, Value: version}
	return o
}

// refuse answers as S3 does; a HEAD has no body.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>", code)
		_ = xml.EscapeText(w, []byte(message))
		fmt.Fprintf(w, "</Message><Resource>/x</Resource><StringToSign>AWS4-HMAC-SHA256</StringToSign><RequestId>1</RequestId></Error>")
	}
}

// secrets are what no error may hold; also markup and the words of the client.
func secrets() backendtest.Secrets {
	return backendtest.Secrets{canary, "<", "X-Amz-Signature", "StringToSign", "RequestID", "https response error"}
}

func wantError(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	secrets().WantError(t, err, kind, words...)
}
