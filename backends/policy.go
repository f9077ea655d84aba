package backends

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryPolicy says how long a call goes on. The zero value is the default
// policy; a field that is zero takes its default.
type RetryPolicy struct {
	// MaxAttempts bounds the attempts of one call, the first included (10). An
	// attempt that brought AttemptBytes of a body is not counted, so that a long
	// stream over a poor link ends, and a link that brings nothing does too.
	MaxAttempts int
	// MaxSlowed is the same for attempts that were asked to slow down, which are
	// none of MaxAttempts (30, for MaxElapsed to be what ends them; MaxAttempts where
	// that is set).
	MaxSlowed int
	// MaxElapsed bounds the time that one call waits for its source, pauses
	// between attempts included (90 s). The time in which the reader of a stream
	// does something else is not counted, and each byte of a body adds
	// 1/MinRate.
	MaxElapsed time.Duration
	// StallTimeout is how long an attempt may wait for its response, or for the
	// next StallTimeout * MinRate bytes of a body, before it is cut (15 s).
	StallTimeout time.Duration
	// MinRate is the slowest body that is not cut, in bytes a second (8 KiB).
	MinRate int64
	// ListTimeout is the longest silence between two objects of a listing (2 min).
	ListTimeout time.Duration
	// FirstWait and MaxWait are the first pause and the longest (200 ms, 10 s);
	// pauses double and are spread by half.
	FirstWait, MaxWait time.Duration
	// MaxOutage bounds the time in which all calls together get no answer at all:
	// after it each call gives up at its next failure, until one is answered.
	// Being told to slow down is an answer. 0 is no such bound.
	MaxOutage time.Duration
	// OnRetry, if set, hears of each failure that is tried again.
	OnRetry func(err error)
	// MaxRetryAfter caps the pause that a source asks for (60 s).
	MaxRetryAfter time.Duration
}

// AttemptBytes is how much of a body an attempt must bring not to count as one
// of MaxAttempts: a part of a large file.
const AttemptBytes = 8 << 20

// filled sets the zero fields of p to the defaults.
func (p RetryPolicy) filled() RetryPolicy {
	if p.MaxAttempts == 0 {
		fill(&p.MaxSlowed, 30)
	}
	fill(&p.MaxAttempts, 10)
	fill(&p.MaxSlowed, p.MaxAttempts)
	fill(&p.MaxElapsed, 90*time.Second)
	fill(&p.StallTimeout, 15*time.Second)
	fill(&p.MinRate, 8<<10)
	fill(&p.ListTimeout, 2*time.Minute)
	fill(&p.FirstWait, 200*time.Millisecond)
	fill(&p.MaxWait, 10*time.Second)
	fill(&p.MaxRetryAfter, 60*time.Second)
	return p
}

func fill[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// stallBytes is what a body must bring in each StallTimeout.
func (p RetryPolicy) stallBytes() int64 {
	return max(1, int64(p.StallTimeout.Seconds()*float64(p.MinRate)))
}

func (p RetryPolicy) waits() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = p.FirstWait, p.MaxWait, 2, 0.5
	return b
}
