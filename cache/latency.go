package cache

import (
	"sync/atomic"
	"time"
)

// latency is the fastest answer of the source to a small request, lately: the part
// of the time that more requests at once hide. The others also wait for each other.
type latency struct {
	now, before atomic.Int64 // the best of this span and of the one before, ns; 0 is none
	since       atomic.Int64 // of this span, unix ns
}

func (l *latency) note(d time.Duration) {
	now := time.Now().UnixNano()
	since := l.since.Load()
	if now-since > int64(latencyLife) && l.since.CompareAndSwap(since, now) {
		l.before.Store(l.now.Swap(0))
	}
	if best := l.now.Load(); best == 0 || int64(d) < best {
		l.now.Store(max(int64(d), 1)) // a lost update costs one sample
	}
}

// best is 0 while nothing is known.
func (l *latency) best() time.Duration {
	now, before := l.now.Load(), l.before.Load()
	if now == 0 || before != 0 && before < now {
		now = before
	}
	return time.Duration(now)
}
