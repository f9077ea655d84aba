package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

func lifeCases() []testCase {
	return []testCase{
		{name: "cancelled before", run: cancelledBefore},
		{name: "cancelled in the middle of a list", run: cancelledList},
		{name: "cancelled in the middle of a stream", run: cancelledStream},
		{name: "deadline passed", run: deadlinePassed},
		{name: "cancelled beside another stream", run: cancelledBeside},
		{name: "close twice a stream", run: closeTwice},
		{name: "close with a stream open", run: closeOpen},
		{name: "close leaves no goroutine", run: closeLeaves},
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
	deadline := time.Now().Add(20 * time.Second)
	for leak := goleak.Find(before); leak != nil; leak = goleak.Find(before) {
		if e.Quiet == nil || time.Now().After(deadline) {
			t.Fatal(leak)
		}
		e.Quiet()
	}
}

// cancelledBeside cancels one of two streams; the other goes on.
func cancelledBeside(t *testing.T, e *env) {
	data := noise(4<<20, 65)
	obj := e.putPin(t, "o", data)
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	one, _, err := e.Backend.Open(ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer one.Close() //nolint:errcheck // cancelled
	two, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer two.Close() //nolint:errcheck // only read
	if _, err := io.ReadFull(one, make([]byte, 1000)); err != nil {
		t.Fatalf("Read: %v", err)
	}
	cancel()
	if got, err := io.ReadAll(two); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v, the first difference at %d", len(got), err, difference(got, data))
	}
}

// closeOpen closes the backend before a stream: neither panics nor hangs.
func closeOpen(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1<<20, 66))
	body, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	e.closed = true
	if err := e.Backend.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_ = body.Close() // may fail
}
