package backends_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

const maxOutage = 12 * time.Second

// TestOutageEndsAllCalls: however many calls there are, they wait for a source
// that is down for the time of one outage; a silent one, for one silence.
func TestOutageEndsAllCalls(t *testing.T) {
	down := memstore.Fault{Err: backends.Unreachable("read", key, errReset)}
	for name, tc := range map[string]struct {
		fault    memstore.Fault
		kind     manifest.Kind
		min, max time.Duration
	}{
		"down":   {down, manifest.KindUnreachable, 10 * time.Second, 13 * time.Second},
		"silent": {memstore.Fault{Delay: memstore.Forever}, manifest.KindTimeout, 12 * time.Second, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				retries := 0
				w := newWorld(10, backends.RetryPolicy{MaxOutage: maxOutage, OnRetry: func(error) { retries++ }})
				w.store.SetHook(memstore.Always(tc.fault))
				start := time.Now()
				w.wantErr(t, tc.kind, "gave up after")
				if took := time.Since(start); took < tc.min || took > tc.max {
					t.Errorf("took %v, want %v to %v", took, tc.min, tc.max)
				}
				if tc.kind == manifest.KindUnreachable && retries == 0 {
					t.Error("no retry was told of")
				}
				start = time.Now()
				var calls sync.WaitGroup
				for range 20 {
					calls.Go(func() { _, _ = w.retry.Stat(t.Context(), w.obj) })
				}
				calls.Wait()
				if took := time.Since(start); took > 16*time.Second {
					t.Errorf("20 calls more took %v, want one failure each", took)
				}
				w.store.SetHook(nil)
				w.want(t, 0, -1)
			})
		})
	}
}

// TestOutageIsOverWithAnAnswer: who is told to slow down waits as long as before,
// and so does who gets an answer now and then.
func TestOutageIsOverWithAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{MaxOutage: maxOutage})
		w.store.SetHook(memstore.First(4, memstore.SlowDown(15*time.Second)))
		start := time.Now()
		w.want(t, 0, -1)
		if took := time.Since(start); took < time.Minute {
			t.Errorf("took %v, want the minute that was asked for", took)
		}
		down := memstore.Fault{Err: backends.Unreachable("read", key, errReset)}
		for range 5 {
			w.store.SetHook(memstore.First(5, down)) // some 6 s
			w.want(t, 0, -1)
		}
	})
}
