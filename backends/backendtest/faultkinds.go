package backendtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// faultSize is that of objects under faults: more than is in flight at once when
// nobody reads.
const faultSize = 1 << 20

// call is one of the three questions to a driver. Which requests it sends is the
// driver's matter, and so faults of calls hit all.
type call struct {
	name string
	make func(e *env, ctx context.Context, b backends.Backend, obj manifest.Object) error
}

func calls() []call {
	return []call{
		{"open", func(e *env, ctx context.Context, b backends.Backend, obj manifest.Object) error {
			_, err := readFrom(ctx, b, obj, 0, 1000)
			return err
		}},
		{"stat", func(_ *env, ctx context.Context, b backends.Backend, obj manifest.Object) error {
			_, err := b.Stat(ctx, obj)
			return err
		}},
		{"list", func(_ *env, ctx context.Context, b backends.Backend, obj manifest.Object) error {
			return b.List(ctx, obj.Ref, func(backends.Info) error { return nil })
		}},
	}
}

// trouble is a fault and the kinds that a bare driver may make of it.
type trouble struct {
	name  string
	fault Fault
	kinds []manifest.Kind
}

func troubles() []trouble {
	return []trouble{
		{"denied", Fault{Status: http.StatusForbidden}, []manifest.Kind{manifest.KindDenied}},
		{"not authenticated", Fault{Status: http.StatusUnauthorized}, []manifest.Kind{manifest.KindDenied}},
		{"throttled", Fault{Status: http.StatusTooManyRequests}, []manifest.Kind{manifest.KindThrottled}},
		{"unavailable", Fault{Status: http.StatusServiceUnavailable}, []manifest.Kind{manifest.KindThrottled, manifest.KindUnreachable}},
		{"broken", Fault{Status: http.StatusInternalServerError}, []manifest.Kind{manifest.KindUnreachable}},
		{"reset", Fault{Reset: true}, []manifest.Kind{manifest.KindUnreachable}},
	}
}

// kindCases has a case for each trouble and call: the kind of the error decides
// whether somebody tries again.
func kindCases() (cases []testCase) {
	for _, c := range calls() {
		for _, tr := range troubles() {
			cases = append(cases, faultCase(tr.name+" "+c.name, func(t *testing.T, e *env) { troubled(t, e, c, tr) }))
		}
		cases = append(cases,
			faultCase("vanished "+c.name, func(t *testing.T, e *env) { vanished(t, e, c) }),
			faultCase("silent "+c.name, func(t *testing.T, e *env) { silent(t, e, c) }),
			faultCase("cancelled in a silent "+c.name, func(t *testing.T, e *env) { cancelledSilent(t, e, c) }),
			faultCase("pause asked for at "+c.name, func(t *testing.T, e *env) { pauseAsked(t, e, c) }),
			faultCase("words of a failed "+c.name, func(t *testing.T, e *env) { words(t, e, c) }))
	}
	return cases
}

// fault makes a fault until the case ends.
func (e *env) fault(t *testing.T, f Fault) {
	t.Helper()
	e.Faults.Break(f)
	t.Cleanup(e.Faults.Heal)
}

func troubled(t *testing.T, e *env, c call, tr trouble) {
	obj := e.putPin(t, "d/o", noise(2000, 70))
	e.fault(t, tr.fault)
	wantKind(t, c.make(e, e.ctx, e.Backend, obj), obj.Ref, tr.kinds...)
	e.Faults.Heal()
	if err := c.make(e, e.ctx, e.Backend, obj); err != nil {
		t.Errorf("healed: %v", err)
	}
}

func vanished(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 71))
	e.fault(t, Fault{Status: http.StatusNotFound})
	want := manifest.KindGone
	if c.name == "list" {
		want = manifest.KindNoSource
	}
	wantKind(t, c.make(e, e.ctx, e.Backend, obj), obj.Ref, want)
}

func silent(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 72))
	e.fault(t, Fault{Silent: true})
	ctx, cancel := context.WithTimeout(e.ctx, 200*time.Millisecond)
	defer cancel()
	wantKind(t, c.make(e, ctx, e.Backend, obj), obj.Ref, manifest.KindTimeout)
}

func cancelledSilent(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 73))
	seen := e.Faults.Seen(AnyOp)
	e.fault(t, Fault{Silent: true})
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.make(e, ctx, e.Backend, obj) }()
	for e.Faults.Seen(AnyOp) == seen && e.ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wantKind(t, <-done, obj.Ref, manifest.KindCanceled)
}

// pauseAsked wants to find the Retry-After in the error.
func pauseAsked(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 74))
	e.fault(t, Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}})
	err := c.make(e, e.ctx, e.Backend, obj)
	wantKind(t, err, obj.Ref, manifest.KindThrottled)
	if got := backends.RetryAfter(err); got != 7*time.Second {
		t.Errorf("got a pause of %v, want 7s", got)
	}
}

// words wants a server's words in one short line and without what signs URLs.
func words(t *testing.T, e *env, c call) {
	const canary = "CaNaRy0123"
	obj := e.putPin(t, "d/o", noise(2000, 75))
	e.fault(t, Fault{Status: http.StatusForbidden, Text: "first\nsecond\r\n\x1b[31m https://h/x?sig=" + canary + "&X-Amz-Signature=" + canary +
		" " + strings.Repeat("far too long ", 1000)})
	err := c.make(e, e.ctx, e.Backend, obj)
	wantKind(t, err, obj.Ref, manifest.KindDenied)
	wantWords(t, err)
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the secret is in %q", err)
	}
}

// maxWords is more than any message needs, in bytes.
const maxWords = 1500

func wantWords(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if strings.ContainsAny(text, "\n\r\t\x1b") || len(text) > maxWords {
		t.Errorf("got %d bytes, want one printable line of at most %d: %q", len(text), maxWords, text)
	}
	var typed *manifest.Error
	if errors.As(err, &typed) && typed.Op == "" {
		t.Errorf("%q does not say what was done", text)
	}
}
