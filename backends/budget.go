package backends

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pinfs/pinfs/manifest"
)

// budget is what one call may spend over all its attempts. One goroutine.
type budget struct {
	policy  RetryPolicy
	op, ref string
	waits   *backoff.ExponentialBackOff
	tries   int
	slowed  int // of tries: the source asked to slow down
	spent   time.Duration
	bytes   int64 // of bodies
	began   time.Time

	// Of the wrapper, for all its calls; nil for calls of no wrapper.
	outage *outage
	tokens *tokens
	gate   *gate
}

func newBudget(p RetryPolicy, op, ref string) *budget {
	p = p.filled()
	return &budget{policy: p, op: op, ref: ref, waits: p.waits()}
}

// left is the time that may still be waited.
func (g *budget) left() time.Duration {
	earned := time.Duration(float64(g.bytes) / float64(g.policy.MinRate) * float64(time.Second))
	return g.policy.MaxElapsed + earned - g.spent
}

// clock starts to count time as spent; the function it gives ends that.
func (g *budget) clock() func() {
	start := time.Now()
	g.began = start
	return func() { g.spent += time.Since(start) }
}

// next waits until another attempt may be made after err, the failure of one
// that brought so many bytes. It gives the error of the call when err is
// permanent, the budget is spent or ctx is done.
func (g *budget) next(ctx context.Context, err error, brought int64) error {
	if brought < AttemptBytes {
		g.tries++
	} else {
		g.waits.Reset()
	}
	if manifest.KindOf(err) == manifest.KindThrottled {
		g.slowed++
		if g.gate != nil {
			g.gate.slowDown(g.began)
		}
	}
	patience := g.patience(err, brought)
	switch {
	case ctx.Err() != nil:
		return Ended(ctx, g.op, g.ref)
	case !again(err):
		return err
	case g.tries-g.slowed >= g.policy.MaxAttempts, g.slowed >= g.policy.MaxSlowed, patience <= 0:
		return g.over(err)
	}
	pause := max(g.waits.NextBackOff(), min(RetryAfter(err), g.policy.MaxRetryAfter))
	if pause >= g.left() {
		return g.over(err)
	}
	pause = min(max(pause, g.turn()), patience)
	if g.policy.OnRetry != nil {
		g.policy.OnRetry(err)
	}
	if err := g.rest(ctx, pause); err != nil {
		return err
	}
	return renewSlot(ctx, g.op, g.ref)
}

// turn is how long to wait so that all calls together do not retry too often. It
// never is what ends a call: half of the time that is left, at most.
func (g *budget) turn() time.Duration {
	if g.tokens == nil {
		return 0
	}
	return g.tokens.borrow(min(g.policy.MaxWait, g.left()/2))
}

func (g *budget) rest(ctx context.Context, pause time.Duration) error {
	defer g.clock()()
	return wait(ctx, pause, g.op, g.ref)
}

// over is the last failure of a call that gives up, which it says.
func (g *budget) over(err error) error {
	msg := fmt.Sprintf("gave up after %d attempts and %v", g.tries, g.spent.Round(time.Millisecond))
	last := manifest.Error{Kind: manifest.KindOf(err), Op: g.op, Ref: g.ref, Err: err}
	var typed *manifest.Error
	if errors.As(err, &typed) {
		last = *typed
	}
	if last.Msg != "" {
		msg += ": " + last.Msg
	}
	last.Msg = msg
	if last.Err == nil {
		last.Msg += ": " + last.Kind.String()
	}
	return &last
}

// again tells whether another attempt may succeed.
func again(err error) bool {
	var cut *stalled
	if errors.As(err, &cut) {
		return true
	}
	kind := manifest.KindOf(err)
	return kind == manifest.KindUnreachable || kind == manifest.KindThrottled
}

func wait(ctx context.Context, d time.Duration, op, ref string) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return Ended(ctx, op, ref)
	}
}
