package backends

// Options say how a driver is wrapped.
type Options struct {
	// Retry is the budget of each call; the zero value is the default one.
	Retry RetryPolicy
	// Limit is how many requests may be under way at once; 0 is no limit. The limit
	// of now is lower while the source throttles, and begins at 64.
	Limit int
}

// Wrap puts the wrappers around a driver, the inner one first:
//
//	limit -> retry -> driver
//
// The limit is outside, so that a call that waits before its next attempt still
// counts: a source that asks to slow down gets fewer calls, not other ones. It
// hears from the retries how attempts ended, and makes calls that are over it wait
// again before their next attempt.
func Wrap(b Backend, o Options) Backend {
	if o.Limit <= 0 {
		return WithRetry(b, o.Retry)
	}
	g := newGate(o.Limit)
	r := withRetry(b, o.Retry)
	r.gate = g
	return &limited{Backend: r, gate: g, stats: func(s *Stats) { s.Retries = r.tokens.used() }}
}

// Stats is what the wrappers of one driver do now, and what they have done.
type Stats struct {
	// Limit is how many calls may be under way now, InFlight how many are, Waiting
	// how many wait for one to end.
	Limit, InFlight, Waiting int
	// Throttled counts the attempts for which the source asked to slow down, Retries
	// those that were made again after any failure.
	Throttled, Retries int64
}

// Measured is implemented by what Wrap gives if there is a limit.
type Measured interface {
	// Stats may be called at any time.
	Stats() Stats
}
