package filestore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/backends"
)

// guard lets callers leave system calls that do not return.
type guard struct {
	timeout time.Duration
	max     int64
	stuck   atomic.Int64 // calls that were left behind and still run
}

// result is what a call gave.
type result[T any] struct {
	value T
	err   error
}

// call runs fn and waits for it: not longer than the timeout or ctx. A caller
// that leaves gets a typed error, and late frees what fn gives in the end. fn must
// not touch what its caller uses.
func call[T any](ctx context.Context, g *guard, op, ref string, fn func() (T, error), late func(T)) (T, error) {
	var none T
	if err := backends.Ended(ctx, op, ref); err != nil {
		return none, err
	}
	if n := g.stuck.Load(); n >= g.max {
		return none, backends.Timeout(op, ref, fmt.Sprintf("%d earlier calls on files have not returned; a share may hang", n))
	}
	return await(ctx, g, op, ref, fn, late)
}

// await is call without the bound: for what must run, whatever hangs.
func await[T any](ctx context.Context, g *guard, op, ref string, fn func() (T, error), late func(T)) (T, error) {
	var none T
	done := make(chan result[T], 1)
	go func() {
		value, err := fn()
		done <- result[T]{value, err}
	}()
	timer := time.NewTimer(g.timeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		leave(g, done, late)
		return none, backends.Ended(ctx, op, ref)
	case <-timer.C:
		leave(g, done, late)
		return none, backends.Timeout(op, ref, fmt.Sprintf("no answer within %v; its share may hang", g.timeout))
	}
}

// leave counts a call as stuck until it returns.
func leave[T any](g *guard, done <-chan result[T], late func(T)) {
	g.stuck.Add(1)
	go func() {
		r := <-done
		g.stuck.Add(-1)
		if r.err == nil && late != nil {
			late(r.value)
		}
	}()
}
