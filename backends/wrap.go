package backends

// Options say how a driver is wrapped.
type Options struct {
	// Retry is the budget of each call; the zero value is the default one.
	Retry RetryPolicy
	// Limit is how many requests may be under way at once; 0 is no limit.
	Limit int
}

// Wrap puts the wrappers around a driver, the inner one first:
//
//	limit -> retry -> driver
//
// The limit is outside, so that a call that waits before its next attempt still
// counts: a source that asks to slow down gets fewer calls, not other ones.
func Wrap(b Backend, o Options) Backend {
	b = WithRetry(b, o.Retry)
	if o.Limit > 0 {
		b = WithLimit(b, o.Limit)
	}
	return b
}
