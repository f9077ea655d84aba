package s3store_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
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

// fast is a budget that a test can wait for.
func fast() backends.RetryPolicy {
	return backends.RetryPolicy{MaxAttempts: 3, FirstWait: time.Millisecond, MaxWait: time.Millisecond, StallTimeout: 5 * time.Second}
}

func open(t *testing.T, o s3store.Options) *s3store.Store {
	t.Helper()
	o.Retry = fast()
	s, err := s3store.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
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

// list gives what List does, by name.
func list(ctx context.Context, s backends.Backend, uri string) ([]backends.Info, error) {
	var infos []backends.Info
	err := s.List(ctx, uri, func(i backends.Info) error {
		infos = append(infos, i)
		return nil
	})
	return infos, err
}

func names(infos []backends.Info) (all []string) {
	for _, i := range infos {
		all = append(all, i.Name)
	}
	return all
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

// wantError checks the kind, the words and the shape of an error.
func wantError(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got error %v of kind %q, want %q", err, manifest.KindOf(err), kind)
	}
	text := err.Error()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %q", w, text)
		}
	}
	for _, w := range []string{canary, "\n", "<", "X-Amz-Signature", "StringToSign", "RequestID", "https response error"} {
		if strings.Contains(text, w) {
			t.Errorf("%q is in %q", w, text)
		}
	}
	if len(text) > 800 {
		t.Errorf("%d bytes of text: %s", len(text), text)
	}
}
