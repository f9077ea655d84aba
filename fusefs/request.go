package fusefs

import (
	"context"
	"sync"
	"time"
)

// requestContext is the context of a request; see fileSystem.request. It costs
// nothing until somebody is about to wait: what is answered from memory or from
// the disk never asks for Done, and so has neither timer nor goroutine.
type requestContext struct {
	cancel   <-chan struct{} // closed after the first signal
	pid      uint32
	fs       *fileSystem
	deadline time.Time

	mu      sync.Mutex      // guards all below
	live    context.Context // what ends the request; nil until it is needed
	end     context.CancelFunc
	stopped bool
}

var _ context.Context = (*requestContext)(nil)

// Deadline implements context.Context.
func (r *requestContext) Deadline() (time.Time, bool) { return r.deadline, true }

// Done implements context.Context. From the first call on the caller is watched.
func (r *requestContext) Done() <-chan struct{} { return r.start().Done() }

// Err implements context.Context.
func (r *requestContext) Err() error {
	if r.waits() || r.fs.base.Err() != nil || !time.Now().Before(r.deadline) {
		return r.start().Err()
	}
	return nil
}

// Value implements context.Context. Contexts that are derived from this one find
// the live one by it, after a call of Done.
func (r *requestContext) Value(key any) any {
	if r.waits() {
		return r.start().Value(key)
	}
	return r.fs.base.Value(key)
}

// waits tells whether the request has a live context, or had to have one.
func (r *requestContext) waits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live != nil || r.stopped
}

// start gives the live context.
func (r *requestContext) start() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live != nil {
		return r.live
	}
	r.live, r.end = context.WithDeadline(r.fs.base, r.deadline)
	if r.stopped {
		r.end()
		return r.live
	}
	go r.watch(r.live, r.end)
	return r.live
}

// watch ends the request when the caller is being killed.
func (r *requestContext) watch(ctx context.Context, end context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-r.cancel:
		r.fs.watchCaller(ctx, r.pid)
		end()
	}
}

// stop ends the request: it is answered.
func (r *requestContext) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.end != nil {
		r.end()
	}
}
