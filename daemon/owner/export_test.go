package owner

import (
	"context"
	"time"
)

// Clock is the time that an owner lives by.
type Clock struct {
	Now       func() time.Time
	Pause     func(context.Context, time.Duration)
	ReadyWait func() time.Duration
	StopWait  time.Duration
}

// WithClock gives o another time.
func (o Options) WithClock(c Clock) Options {
	o.clock = clock{now: c.Now, pause: c.Pause, readyWait: c.ReadyWait, stopWait: c.StopWait, killWait: killWait}
	return o
}

// NewPace gives what says how long to pause after an end.
func NewPace(now time.Time) func(time.Time) time.Duration { return newPace(now).pause }

// Bounds of what is kept.
const (
	MaxKept  = maxKept
	MaxNames = maxNames
	MaxFDs   = maxFDs
)

// Parse is parse.
var Parse = parse
