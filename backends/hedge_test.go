package backends_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

// usual is what most answers took so far, and late when others are hedged.
const (
	usual = 20 * time.Millisecond
	late  = 24200 * time.Microsecond
)

// hedged is a wrapped store with some answers behind it.
type hedged struct {
	world
	b backends.Backend
}

func newHedged(t *testing.T, warm int) hedged {
	t.Helper()
	w := newWorld(1000, backends.RetryPolicy{})
	b := backends.Wrap(w.store, backends.Options{Limit: 64, Hedge: true})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	var n atomic.Int64
	w.store.SetHook(func(context.Context, memstore.Request) memstore.Fault {
		if i := n.Add(1) - 1; i%20 == 0 { // each less than that before, so that none is hedged
			return memstore.Fault{Delay: 25*time.Millisecond - time.Duration(i)*10*time.Microsecond}
		}
		return memstore.Fault{Delay: usual}
	})
	readMany(t, b, w.obj, 1, warm)
	w.store.ResetCounts()
	return hedged{w, b}
}

// next gives the next opens these faults, in order, then nothing but the usual.
func (h hedged) next(faults ...memstore.Fault) {
	var n atomic.Int64
	h.store.SetHook(func(context.Context, memstore.Request) memstore.Fault {
		if i := n.Add(1); i <= int64(len(faults)) {
			return faults[i-1]
		}
		return memstore.Fault{Delay: usual}
	})
}

// read reads 5 bytes, and wants that all streams are closed then.
func (h hedged) read(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	readMany(t, h.b, h.obj, 1, 1)
	took := time.Since(start)
	synctest.Wait()
	if open := h.store.Counts().Streams; open != 0 {
		t.Errorf("%d streams are open", open)
	}
	return took
}

// TestHedge: which answer is taken when the first is late, and when.
func TestHedge(t *testing.T) {
	slow := func(d time.Duration) memstore.Fault { return memstore.Fault{Delay: d} }
	fails := func(d time.Duration, err error) memstore.Fault { return memstore.Fault{Delay: d, Err: err} }
	reset := backends.Unreachable("open", key, errReset)
	for name, tc := range map[string]struct {
		faults      []memstore.Fault
		took        time.Duration
		opens       int64
		hedged, won int64
	}{
		"in time":                      {nil, usual, 1, 0, 0},
		"never":                        {[]memstore.Fault{slow(memstore.Forever)}, late + usual, 2, 1, 1},
		"the first is faster":          {[]memstore.Fault{slow(30 * time.Millisecond), slow(time.Second)}, 30 * time.Millisecond, 2, 1, 0},
		"both at once":                 {[]memstore.Fault{slow(late + usual), slow(usual)}, late + usual, 2, 1, -1},
		"the first fails":              {[]memstore.Fault{fails(30*time.Millisecond, reset)}, late + usual, 2, 1, 1},
		"the second fails":             {[]memstore.Fault{slow(3 * usual), fails(0, reset)}, 3 * usual, 2, 1, 0},
		"the second is throttled":      {[]memstore.Fault{slow(3 * usual), memstore.SlowDown(time.Minute)}, 3 * usual, 2, 1, 0},
		"the first fails before":       {[]memstore.Fault{fails(0, reset)}, -1, 2, 0, 0},
		"both fail, and a retry works": {[]memstore.Fault{fails(2*usual, reset), fails(0, reset)}, -1, 3, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHedged(t, 100)
				h.next(tc.faults...)
				if took := h.read(t); tc.took >= 0 && took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				now := stats(t, h.b)
				if tc.won < 0 {
					tc.won = now.HedgeWon
				}
				if opens := h.store.Counts().Open; opens != tc.opens || now.Hedged != tc.hedged || now.HedgeWon != tc.won {
					t.Errorf("%d opens, %+v, want %+v", opens, now, tc)
				}
				if now.InFlight != 0 {
					t.Errorf("got %+v at the end", now)
				}
			})
		})
	}
}

// TestHedgeGone: an answer that is final is final for both.
func TestHedgeGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedged(t, 100)
		h.next(memstore.Fault{Delay: memstore.Forever}, memstore.Fault{Err: backends.Gone("open", h.obj, "")})
		_, _, err := h.b.Open(t.Context(), h.obj, 0, 5)
		wantErr(t, err, manifest.KindGone)
	})
}

// TestHedgeEndsWithContext: a caller that gives up ends both requests.
func TestHedgeEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedged(t, 100)
		h.next(memstore.Fault{Delay: memstore.Forever}, memstore.Fault{Delay: memstore.Forever})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := h.b.Open(ctx, h.obj, 0, 5)
		wantErr(t, err, manifest.KindTimeout)
		synctest.Wait()
		if now := stats(t, h.b); now.InFlight != 0 || now.Hedged != 1 {
			t.Errorf("got %+v", now)
		}
	})
}

// TestHedgesAreFew: however many answers are late, at most 5 % are asked for
// again, and those are enough to cut off the slowest.
func TestHedgesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedged(t, 0)
		var asked atomic.Int64
		h.store.SetHook(func(context.Context, memstore.Request) memstore.Fault {
			asked.Add(1)
			if rand.IntN(30) == 0 {
				return memstore.Fault{Delay: 5 * time.Second}
			}
			return memstore.Fault{Delay: time.Duration(15+rand.IntN(100)) * time.Millisecond}
		})
		const reads = 2000
		readMany(t, h.b, h.obj, 16, reads)
		synctest.Wait()
		now := stats(t, h.b)
		if now.Hedged > reads/20 || now.Hedged < reads/50 || asked.Load() > reads+now.Hedged {
			t.Errorf("%d requests for %d reads, %+v", asked.Load(), reads, now)
		}
		if now.HedgeWon*4 < now.Hedged || now.HedgeWon > now.Hedged {
			t.Errorf("got %+v", now)
		}
	})
}

// TestHedgesAreNotSent: where they would do harm, or could not help.
func TestHedgesAreNotSent(t *testing.T) {
	for name, tc := range map[string]struct {
		warm   int
		length int64
		before func(t *testing.T, h *hedged)
	}{
		"while nothing is known": {warm: 40, length: 5},
		"to the end":             {warm: 100, length: -1},
		"other sizes":            {warm: 100, length: 1 << 20},
		"pins by content": {warm: 100, length: 5, before: func(_ *testing.T, h *hedged) {
			h.obj.Pin = manifest.Pin{Kind: manifest.PinMD5}
		}},
		"while the source throttles": {warm: 100, length: 5, before: func(t *testing.T, h *hedged) {
			h.next(memstore.SlowDown(0))
			readMany(t, h.b, h.obj, 1, 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHedged(t, tc.warm)
				if tc.before != nil {
					tc.before(t, &h)
				}
				h.store.ResetCounts()
				h.next(memstore.Fault{Delay: 5 * time.Second})
				body, _, err := h.b.Open(t.Context(), h.obj, 0, tc.length)
				var typed *manifest.Error
				if err != nil && !errors.As(err, &typed) {
					t.Fatal(err)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, body)
					_ = body.Close()
				}
				if now := stats(t, h.b); now.Hedged != 0 || h.store.Counts().Open != 1 {
					t.Errorf("%d opens, %+v", h.store.Counts().Open, now)
				}
			})
		})
	}
}
