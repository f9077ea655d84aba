package filestore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/backends"
)

// share is what hangs as a whole: one mount. Its bounds keep a dead one from
// taking all threads.
type share struct {
	mount   string // where it is mounted
	timeout time.Duration
	max     int64
	hung    atomic.Int64  // calls that have outlived timeout and still run
	slots   chan struct{} // one for each call that runs
}

// result is what a call gave.
type result[T any] struct {
	value T
	err   error
}

// call runs fn on a share and waits for it: not longer than the timeout or ctx. A
// caller that leaves gets a typed error, and late frees what fn gives in the end.
// fn must not touch what its caller uses. While the share hangs, the answer is
// KindTimeout at once.
func call[T any](ctx context.Context, sh *share, op, ref string, fn func() (T, error), late func(T)) (T, error) {
	var none T
	if err := backends.Ended(ctx, op, ref); err != nil {
		return none, err
	}
	if n := sh.hung.Load(); n >= sh.max {
		return none, backends.Timeout(op, ref, fmt.Sprintf("%s hangs: %d earlier calls on it have not returned", sh.mount, n))
	}
	timer := time.NewTimer(sh.timeout)
	defer timer.Stop()
	select {
	case sh.slots <- struct{}{}:
	case <-ctx.Done():
		return none, backends.Ended(ctx, op, ref)
	case <-timer.C:
		return none, backends.Timeout(op, ref, fmt.Sprintf("%s was busy with %d other calls for %v", sh.mount, cap(sh.slots), sh.timeout))
	}
	return await(ctx, sh, op, ref, func() (T, error) {
		defer func() { <-sh.slots }()
		return fn()
	}, late)
}

// await is call without the bounds: for what must run, whatever hangs.
func await[T any](ctx context.Context, sh *share, op, ref string, fn func() (T, error), late func(T)) (T, error) {
	var none T
	done := make(chan result[T], 1)
	go func() {
		value, err := fn()
		done <- result[T]{value, err}
	}()
	start, timer := time.Now(), time.NewTimer(sh.timeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		go leave(sh, sh.timeout-time.Since(start), done, late)
		return none, backends.Ended(ctx, op, ref)
	case <-timer.C:
		sh.hung.Add(1)
		go leave(sh, 0, done, late)
		return none, backends.Timeout(op, ref, fmt.Sprintf("no answer within %v; %s may hang", sh.timeout, sh.mount))
	}
}

// leave waits for a call that its caller has left. patience is how long it may
// still take before it counts as hung; 0 is one that counts already.
func leave[T any](sh *share, patience time.Duration, done <-chan result[T], late func(T)) {
	var r result[T]
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case r = <-done:
			free(r, late)
			return
		case <-timer.C:
			sh.hung.Add(1)
		}
	}
	r = <-done
	sh.hung.Add(-1)
	free(r, late)
}

func free[T any](r result[T], late func(T)) {
	if r.err == nil && late != nil {
		late(r.value)
	}
}
