package backends

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// stalled is the cause for which an attempt's context was cancelled.
type stalled struct{ silence time.Duration }

func (s *stalled) Error() string {
	return fmt.Sprintf("nothing, or too little, came within %v", s.silence)
}

// attempt is one try of a call: a context that a watch cancels when the source
// is silent for too long. The watch is off until watch is called.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	cut    error // the cause when the watch cancels
}

// newAttempt makes an attempt; silence is what its error says was too long.
func newAttempt(ctx context.Context, silence time.Duration) *attempt {
	a := &attempt{cut: &stalled{silence: silence}}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	return a
}

// watch cuts the attempt unless rest is called within d.
func (a *attempt) watch(d time.Duration) {
	if a.timer == nil {
		a.timer = time.AfterFunc(d, func() { a.cancel(a.cut) })
		return
	}
	a.timer.Reset(d)
}

// rest stops the watch.
func (a *attempt) rest() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// end frees the attempt.
func (a *attempt) end() {
	a.rest()
	a.cancel(nil)
}

// failure says why the attempt failed: a cut is KindTimeout, whatever the driver
// made of it.
func (a *attempt) failure(op, ref string, err error) error {
	var cut *stalled
	if err != nil && errors.As(context.Cause(a.ctx), &cut) {
		return &manifest.Error{Kind: manifest.KindTimeout, Op: op, Ref: ref, Err: cut}
	}
	return err
}

// Retry calls fn until it succeeds, fails for good, or the budget of p is spent:
// for one request of a driver's own, such as a page of a listing. KindUnreachable
// and KindThrottled are tried again. fn's context ends after StallTimeout, which
// is KindTimeout and tried again too. op and ref name the call in errors.
func Retry(ctx context.Context, p RetryPolicy, op, ref string, fn func(ctx context.Context) error) error {
	g := newBudget(p, op, ref)
	return g.repeat(ctx, g.policy.StallTimeout, fn)
}

// repeat is Retry within g; silence bounds an attempt, unless it is 0.
func (g *budget) repeat(ctx context.Context, silence time.Duration, fn func(ctx context.Context) error) error {
	for {
		if err := Ended(ctx, g.op, g.ref); err != nil {
			return err
		}
		err := g.once(ctx, silence, fn)
		if err == nil {
			g.answered()
			return nil
		}
		if err := g.next(ctx, err, 0); err != nil {
			return err
		}
	}
}

func (g *budget) once(ctx context.Context, silence time.Duration, fn func(ctx context.Context) error) error {
	defer g.clock()()
	a := newAttempt(ctx, silence)
	defer a.end()
	if silence > 0 {
		a.watch(min(silence, g.left()))
	}
	return a.failure(g.op, g.ref, fn(a.ctx))
}
