package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  manifest.Error
		want string
	}{
		{manifest.Error{}, "failed"},
		{manifest.Error{Kind: manifest.KindGone, Op: "read", Ref: "s3://b/k"}, "read: s3://b/k: pinned version is gone"},
		{manifest.Error{Op: "read", Err: cause}, "read: cause"},
		{manifest.Error{Op: "read", Msg: "why", Err: cause}, "read: why: cause"},
		{manifest.Error{Kind: manifest.KindChanged, Op: "read", Ref: "r", Expected: "a", Found: "b", Hint: "do this"},
			"read: r: object changed since it was recorded: expected 'a' but found 'b'; do this"},
		{manifest.Error{Kind: manifest.KindChanged, Expected: "a"}, "object changed since it was recorded: expected 'a' but found nothing"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	gone := &manifest.Error{Kind: manifest.KindGone, Err: context.Canceled}
	for _, c := range []struct {
		err  error
		want manifest.Kind
	}{
		{nil, manifest.KindOther},
		{errors.New("x"), manifest.KindOther},
		{gone, manifest.KindGone},
		{fmt.Errorf("read: %w", gone), manifest.KindGone},
		{&manifest.Error{Kind: manifest.KindDenied, Err: gone}, manifest.KindDenied},
		{errors.Join(errors.New("x"), gone), manifest.KindGone},
		{fmt.Errorf("read: %w", context.Canceled), manifest.KindCanceled},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), manifest.KindTimeout},
	} {
		if got := manifest.KindOf(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	if !errors.Is(gone, context.Canceled) {
		t.Error("the cause can't be found")
	}
}

// Every kind has words of its own; what is past the last one has the general ones.
func TestKindsHaveWords(t *testing.T) {
	seen := make(map[string]manifest.Kind)
	for k := manifest.KindOther; k <= manifest.KindCanceled; k++ {
		if other, twice := seen[k.String()]; twice {
			t.Errorf("kinds %d and %d are both %q", other, k, k)
		}
		seen[k.String()] = k
	}
	if got := (manifest.KindCanceled + 1).String(); got != "failed" {
		t.Errorf("got %q, want \"failed\"", got)
	}
}

func TestLocalMismatch(t *testing.T) {
	err := manifest.LocalMismatch("read", "file:///d/a b", "D", "E")
	if want := "Local file reference: Digest mismatch for path '/d/a b': expected 'D' but found 'E'"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %q, want it to end in %q", err, want)
	}
	if err.Kind != manifest.KindChanged {
		t.Errorf("got %v, want %v", err.Kind, manifest.KindChanged)
	}
}
