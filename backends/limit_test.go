package backends_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestLimitBoundsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1000, backends.RetryPolicy{})
		b := backends.WithLimit(w.store, 3)
		w.store.SetHook(memstore.Always(memstore.Fault{Body: memstore.Trickle(100, time.Second)}))
		g := errgroup.Group{}
		for range 20 {
			g.Go(func() error {
				body, _, err := b.Open(t.Context(), w.obj, 0, -1)
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, body); err != nil {
					return err
				}
				time.Sleep(time.Second) // at the end, not yet closed
				_ = body.Close()
				return body.Close() // frees no second slot
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := w.store.Counts().MostStreams; got != 3 {
			t.Errorf("got %d streams at once, want 3", got)
		}
	})
}

func TestLimitWaitsForContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1000, backends.RetryPolicy{})
		b := backends.WithLimit(w.store, 1)
		body, _, err := b.Open(t.Context(), w.obj, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.Stat(ctx, w.obj)
		wantErr(t, err, manifest.KindTimeout)
		_, _, err = b.Open(ctx, w.obj, 0, -1)
		wantErr(t, err, manifest.KindTimeout)
		if got := w.store.Counts().Requests(); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stat(t.Context(), w.obj); err != nil {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestLimitIsFreedByErrors(t *testing.T) {
	w := newWorld(1000, backends.RetryPolicy{})
	b := backends.WithLimit(w.store, 1)
	w.store.SetHook(memstore.First(6, memstore.Fault{Err: errReset}))
	for range 3 {
		_, _, _ = b.Open(t.Context(), w.obj, 0, -1)
		_, _ = b.Stat(t.Context(), w.obj)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := b.Stat(ctx, w.obj); err != nil {
		t.Errorf("got %v, want the slot free again", err)
	}
}

// A listing whose fn asks for objects does not wait for itself.
func TestLimitLetsFnAsk(t *testing.T) {
	w := newWorld(1000, backends.RetryPolicy{})
	b := backends.Wrap(w.store, backends.Options{Limit: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := b.List(ctx, key, func(i backends.Info) error {
		_, err := b.Stat(ctx, i.Entry("x").Object())
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
