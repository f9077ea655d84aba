package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

func TestExitCodes(t *testing.T) {
	want := map[manifest.Kind]int{
		manifest.KindOther: 1, manifest.KindBusy: 1, manifest.KindConflict: 1,
		manifest.KindInvalid: 2, manifest.KindUnsupported: 2,
		manifest.KindNotFound:    3,
		manifest.KindUnreachable: 4, manifest.KindDenied: 4, manifest.KindNoSource: 4, manifest.KindThrottled: 4,
		manifest.KindGone: 5, manifest.KindChanged: 5, manifest.KindCorrupt: 5,
		manifest.KindLimit: 7, manifest.KindTimeout: 7,
		manifest.KindCanceled: 130,
	}
	for k := manifest.KindOther; k <= manifest.KindCanceled; k++ {
		code, listed := want[k]
		if got := exitCode(fmt.Errorf("wrapped: %w", &manifest.Error{Kind: k})); !listed || got != code {
			t.Errorf("%v: got exit code %d, want %d (listed: %v)", k, got, code, listed)
		}
	}
	for err, code := range map[error]int{
		nil: 0, errors.New("plain"): 1, context.Canceled: 130, context.DeadlineExceeded: 7, &partlyDone{}: 6,
	} {
		if got := exitCode(err); got != code {
			t.Errorf("%v: got exit code %d, want %d", err, got, code)
		}
	}
}

func TestErrorLine(t *testing.T) {
	err := &manifest.Error{Kind: manifest.KindInvalid, Op: "open", Ref: "a  b\n\tc\x1b[31m", Msg: "why", Hint: "do this"}
	if got, want := errorLine(err), "pinfs: open: a  b c [31m: why; do this"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary/one+x")
	t.Setenv("AWS_SESSION_TOKEN", "canary-two")
	t.Setenv("AZURE_STORAGE_KEY", "canary-three==")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=2026&sig=canary%2Ffour")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acct;AccountKey=canary+five==;EndpointSuffix=core.windows.net")
	t.Setenv("AZURE_CLIENT_SECRET", "canary~six")
	t.Setenv("PINFS_HTTP_HEADER", "host:8080 Authorization: Bearer canary.seven\nhost X-Key: canary:eight")
	for text, want := range map[string]string{
		"key canary/one+x, token canary-two.":                                            "key ***, token ***.",
		"GET https://h/k?X-Amz-Signature=canary&versionId=v":                             "GET https://h/k?X-Amz-Signature=***&versionId=v",
		"https://h/k?x-amz-security-token=canary%2F& x-amz-credential=can":               "https://h/k?x-amz-security-token=***& x-amz-credential=***",
		"https://me:canary@host/path":                                                    "https://***@host/path",
		"three canary-three== five canary+five== six canary~six":                         "three *** five *** six ***",
		"sv=2026&sig=canary%2Ffour and acct":                                             "*** and acct",
		"https://h/c/b?sv=2026&sig=canary%2Ffour":                                        "https://h/c/b***",
		"AccountKey=canary+five==;EndpointSuffix=core.windows.net":                       "AccountKey=***;EndpointSuffix=core.windows.net",
		"AccountKey=canary-other;x=y":                                                    "AccountKey=***;x=y",
		"sent canary.seven, canary:eight to host:8080":                                   "sent ***, *** to host:8080",
		"authorization: Bearer canary-ninth-token-x":                                     "authorization: Bearer ***",
		"https://h/k?X-Goog-Signature=canary&x=1&token=canary":                           "https://h/k?X-Goog-Signature=***&x=1&token=***",
		"key -----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY----- end": "key *** end",
		"a basic need of versions, a policy":                                             "a basic need of versions, a policy",
		"s3://bucket/a@b:c/d?e=f":                                                        "s3://bucket/a@b:c/d?e=f",
		"file:///dir/user:name@host/x":                                                   "file:///dir/user:name@host/x",
	} {
		if got := scrub(text); got != want {
			t.Errorf("scrub(%q): got %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	log, err := newLogger(&out, "info", "json", 0)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("failed", "error", "with canary-two")
	log.Info("failed", "error", "with canary-three==")
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "with ***") {
		t.Errorf("logged %s", out.String())
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"10G": 10e9, "512MiB": 512 << 20, "1.5k": 1500, "0": 0, "7": 7, "2 TiB": 2 << 40} {
		if got, err := parseSize("cache-size", text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "-1", "x", "10 Q", "99999999999G", "0x10"} {
		if got, err := parseSize("cache-size", text); manifest.KindOf(err) != manifest.KindInvalid || err == nil {
			t.Errorf("%q: got %d, %v, want an error", text, got, err)
		}
	}
	if got := roomFor("/no/such/directory/anywhere"); got <= 0 || got > defaultCacheSize {
		t.Errorf("room for a cache: %d", got)
	}
}

func TestBarIsSafe(t *testing.T) {
	var silent bar
	silent.set(1, 2, "x")
	silent.end()
	var out strings.Builder
	b := newBar(&out, "tracking")
	for i := range int64(100) {
		b.set(i, 100, "note")
	}
	b.end()
}
