package backendtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// FastRetry is a budget that a test can wait for.
func FastRetry() backends.RetryPolicy {
	return backends.RetryPolicy{MaxAttempts: 3, FirstWait: time.Millisecond, MaxWait: time.Millisecond, StallTimeout: 20 * time.Second}
}

// Closed gives s, made without err, and closes it with the test.
func Closed[B backends.Backend](t testing.TB, s B, err error) B {
	t.Helper()
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

// List gives what List does.
func List(ctx context.Context, s backends.Backend, uri string) ([]backends.Info, error) {
	var infos []backends.Info
	err := s.List(ctx, uri, func(i backends.Info) error {
		infos = append(infos, i)
		return nil
	})
	return infos, err
}

// Names gives the names of infos.
func Names(infos []backends.Info) (all []string) {
	for _, i := range infos {
		all = append(all, i.Name)
	}
	return all
}

// Read opens a range and reads it to its end; length < 0 is to the object's.
func Read(ctx context.Context, s backends.Backend, obj manifest.Object, offset, length int64) (string, error) {
	body, _, err := s.Open(ctx, obj, offset, length)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	return string(data), errors.Join(err, body.Close())
}

// maxErrorText bounds what a person is shown of one error, in bytes.
const maxErrorText = 900

// Secrets are texts that must be in no error.
type Secrets []string

// WantError checks the kind, the words and the shape of an error: one short line
// of printable text.
func (s Secrets) WantError(t testing.TB, err error, kind manifest.Kind, words ...string) {
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
	for _, w := range append(s, "\n", "\t") {
		if strings.Contains(text, w) {
			t.Errorf("%q is in %q", w, text)
		}
	}
	if len(text) > maxErrorText {
		t.Errorf("%d bytes of text: %s", len(text), text)
	}
}
