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

// pace is what the source shows of itself while it gives large ranges: how long the
// first byte takes, and how long a MiB of one range takes behind that.
type pace struct {
	first, mib latency
}

// note takes in a range of n bytes.
func (p *pace) note(n int64, first, rest time.Duration) {
	p.first.note(first)
	if n >= paceFrom {
		p.mib.note(rest * (1 << 20) / time.Duration(n))
	}
}

const (
	// paceFrom is the least range that tells of the rate.
	paceFrom = 1 << 20
	// partsLeast, partsPer and rateWanted say how many parts ahead of one reader fill
	// the link: some in any case, more for each millisecond in which no byte comes, and
	// no fewer than make up rateWanted (bytes a second) of what one brings at its best.
	partsLeast = 4
	partsPer   = time.Millisecond
	rateWanted = 2 << 30
)

// parts is how many parts, most at most, are to be under way for one reader. More
// than fill the link only take memory, which the kernel has to clear and the caches
// of the processor do not hold.
func (p *pace) parts(most int64) int64 {
	first := p.first.best()
	if first == 0 {
		return most // nothing is known yet
	}
	byRate := int64(p.mib.best() * (rateWanted >> 20) / time.Second)
	return min(most, max(partsLeast+int64(first/partsPer), byRate))
}
