package backendtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

func lifeCases() []testCase {
	return []testCase{
		{"cancelled before", cancelledBefore},
		{"cancelled in the middle of a list", cancelledList},
		{"cancelled in the middle of a stream", cancelledStream},
		{"deadline passed", deadlinePassed},
		{"close twice a stream", closeTwice},
		{"close leaves no goroutine", closeLeaves},
	}
}

func cancelledBefore(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 60))
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.wantEnded(t, ctx, obj, manifest.KindCanceled)
}

func deadlinePassed(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 61))
	ctx, cancel := context.WithTimeout(e.ctx, -1)
	defer cancel()
	e.wantEnded(t, ctx, obj, manifest.KindTimeout)
}

func (e *env) wantEnded(t *testing.T, ctx context.Context, obj manifest.Object, kind manifest.Kind) {
	t.Helper()
	err := e.Backend.List(ctx, e.Root, func(backends.Info) error { return nil })
	wantKind(t, err, e.Root, kind)
	_, err = e.Backend.Stat(ctx, obj)
	wantKind(t, err, obj.Ref, kind)
	_, err = e.read(ctx, obj, 0, -1)
	wantKind(t, err, obj.Ref, kind)
}

// cancelledList cancels in fn; what is left of the page may still come.
func cancelledList(t *testing.T, e *env) {
	e.putMany(t, many)
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	calls := 0
	err := e.Backend.List(ctx, e.Root, func(backends.Info) error {
		calls++
		cancel()
		return nil
	})
	wantKind(t, err, e.Root, manifest.KindCanceled)
	if calls == many {
		t.Errorf("got all %d objects after the first one cancelled", calls)
	}
}

func cancelledStream(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(32<<20, 62))
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	body, _, err := e.Backend.Open(ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer body.Close() //nolint:errcheck // only read
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatalf("Read: %v", err)
	}
	cancel()
	n, err := io.Copy(io.Discard, body)
	if err == nil {
		t.Fatalf("got %d bytes and no error after the cancel", n)
	}
	if kind := manifest.KindOf(err); kind != manifest.KindCanceled && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, kind %q, want %q", err, kind, manifest.KindCanceled)
	}
}

func closeTwice(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 63))
	body, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := body.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_ = body.Close() // may fail, must not panic or free twice
	e.wantBytes(t, obj, 0, 10, noise(1000, 63)[:10])
}

// closeLeaves uses streams in every way and closes the backend.
func closeLeaves(t *testing.T, e *env) {
	data := noise(4<<20, 64)
	e.put(t, "o", data)
	before := goleak.IgnoreCurrent()
	_, obj := e.pin(t, "o")
	e.wantBytes(t, obj, 0, -1, data)
	ctx, cancel := context.WithCancel(e.ctx)
	for range 4 {
		body, _, err := e.Backend.Open(ctx, obj, 0, -1)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		_, _ = io.ReadFull(body, make([]byte, 10))
		defer body.Close() //nolint:errcheck // after the cancel
	}
	cancel()
	e.closed = true
	if err := e.Backend.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	goleak.VerifyNone(t, before)
}
