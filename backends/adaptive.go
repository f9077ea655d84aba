package backends

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// firstLimit is where an adaptive limit begins, if its ceiling is not lower.
	firstLimit = 64
	// cutBy is what is left of the limit when the source asks for fewer requests.
	cutBy = 0.5
	// raiseAfter is how many answers a low limit needs to rise by one; a higher one
	// needs as many as it is.
	raiseAfter = 8
	// calmAfter is how long ago a source must have throttled to count as calm.
	calmAfter = 10 * time.Second
)

// gate bounds how many calls are under way. Its limit falls by half when the
// source throttles, at most once for all the attempts that were under way
// together, and rises by one for each round of answers while the limit is in use
// (AIMD, as TCP does). Who waits is let in in the order of coming; calls that were
// sent back to wait, since the limit fell below their number, come first.
type gate struct {
	floor, ceiling float64

	mu        sync.Mutex // guards all below; a leaf
	limit     float64
	cut       time.Time // when the limit fell last
	inFlight  int
	back      list.List // of chan struct{}: calls that had a slot
	fresh     list.List // of chan struct{}
	throttled int64
}

// newGate makes a gate whose limit moves between 1 and ceiling.
func newGate(ceiling int) *gate {
	top := float64(max(1, ceiling))
	return &gate{floor: 1, ceiling: top, limit: min(firstLimit, top)}
}

// fixedGate makes a gate with n slots.
func fixedGate(n int) *gate {
	top := float64(max(1, n))
	return &gate{floor: top, ceiling: top, limit: top}
}

// open tells whether one more call is let in. mu is held.
func (g *gate) open() bool { return float64(g.inFlight+1) <= g.limit }

// take waits for a slot, or for the end of ctx, which gives false.
func (g *gate) take(ctx context.Context) bool {
	g.mu.Lock()
	if ctx.Err() == nil && g.open() && g.back.Len()+g.fresh.Len() == 0 {
		g.inFlight++
		g.mu.Unlock()
		return true
	}
	return g.wait(ctx, &g.fresh)
}

// tryCalm takes a slot that is free now, if the source has not throttled lately.
func (g *gate) tryCalm() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open() || g.back.Len()+g.fresh.Len() > 0 || time.Since(g.cut) < calmAfter {
		return false
	}
	g.inFlight++
	return true
}

// renew is called with a slot before another attempt: while there are more calls
// than the limit allows, the slot is given back and waited for again. false: ctx
// has ended and the slot is gone.
func (g *gate) renew(ctx context.Context) bool {
	g.mu.Lock()
	if float64(g.inFlight) <= g.limit {
		g.mu.Unlock()
		return true
	}
	g.inFlight--
	return g.wait(ctx, &g.back)
}

// wait queues, and unlocks mu, which is held.
func (g *gate) wait(ctx context.Context, queue *list.List) bool {
	turn := make(chan struct{})
	place := queue.PushBack(turn)
	g.admit()
	g.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // just let in: the slot is the next one's
		g.inFlight--
		g.admit()
	default:
		queue.Remove(place)
	}
	return false
}

// admit lets in who may come. mu is held.
func (g *gate) admit() {
	for g.open() {
		queue := &g.back
		if queue.Len() == 0 {
			queue = &g.fresh
		}
		next := queue.Front()
		if next == nil {
			return
		}
		g.inFlight++
		close(queue.Remove(next).(chan struct{}))
	}
}

// release gives a slot back.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	g.admit()
}

// answered notes an answer.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if float64(2*g.inFlight) >= g.limit {
		g.limit = min(g.ceiling, g.limit+1/max(raiseAfter, g.limit))
		g.admit()
	}
}

// slowDown notes that an attempt, which began then, was throttled.
func (g *gate) slowDown(began time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.throttled++
	if began.After(g.cut) {
		g.limit = max(g.floor, cutBy*min(g.limit, float64(max(1, g.inFlight))))
		g.cut = time.Now()
	}
}

// fill puts what the gate knows into s.
func (g *gate) fill(s *Stats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Limit, s.InFlight, s.Waiting, s.Throttled = int(g.limit), g.inFlight, g.back.Len()+g.fresh.Len(), g.throttled
}
