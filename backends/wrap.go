package backends

// Options say how a driver is wrapped.
type Options struct {
	// Retry is the budget of each call; the zero value is the default one.
	Retry RetryPolicy
	// Limit is how many requests may be under way at once; 0 is no limit. The limit
	// of now is lower while the source throttles, and begins at 64.
	Limit int
	// Hedge sends a second request for a range whose answer is late; see hedge.go. It
	// needs a limit, and a driver whose answers at one pin are all the same.
	Hedge bool
}

// Wrap puts the wrappers around a driver, the inner one first:
//
//	limit -> retry -> hedge -> driver
//
// The limit is outside, so that a call that waits before its next attempt still
// counts: a source that asks to slow down gets fewer calls, not other ones. It
// hears from the retries how attempts ended, and makes calls that are over it wait
// again before their next attempt.
func Wrap(b Backend, o Options) Backend {
	if o.Limit <= 0 {
		return WithRetry(b, o.Retry)
	}
	l := &limited{gate: newGate(o.Limit)}
	var h *hedging
	if o.Hedge {
		h = newHedging(b, l.gate)
		b = h
	}
	r := withRetry(b, o.Retry)
	r.gate, l.Backend = l.gate, r
	l.stats = func(s *Stats) {
		s.Retries = r.tokens.used()
		if h != nil {
			h.fill(s)
		}
	}
	return l
}

// Stats is what the wrappers of one driver do now, and what they have done.
type Stats struct {
	// Limit is how many calls may be under way now, InFlight how many are, Waiting
	// how many wait for one to end.
	Limit, InFlight, Waiting int
	// Throttled counts the attempts for which the source asked to slow down, Retries
	// those that were made again after any failure.
	Throttled, Retries int64
	// Hedged counts the second requests that were sent since an answer was late,
	// HedgeWon those that were answered first.
	Hedged, HedgeWon int64
}

// Measured is implemented by what Wrap gives if there is a limit.
type Measured interface {
	// Stats may be called at any time.
	Stats() Stats
}
