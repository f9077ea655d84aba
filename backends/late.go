package backends

import (
	"slices"
	"sync"
	"time"
)

const (
	// lateSamples is how many answers of a size class are remembered, lateAfter how
	// many it takes to tell what is late, and lateEvery how often that is told anew.
	lateSamples, lateAfter, lateEvery = 256, 50, 16
	// lateShare of the answers come in time.
	lateShare = 0.95
	// lateAtLeast: an answer that took less is not late, however fast others were.
	lateAtLeast = 10 * time.Millisecond
)

// sizeClasses are the lengths up to which requests are compared with each other:
// what is asked for has a share in how long the answer takes to begin.
var sizeClasses = [...]int64{64 << 10, 1 << 20, 16 << 20}

// classOf gives the size class of a length.
func classOf(length int64) int {
	for i, most := range sizeClasses {
		if length <= most {
			return i
		}
	}
	return len(sizeClasses)
}

// lateness knows how long the answers of one size class took of late.
type lateness struct {
	mu    sync.Mutex // guards all below; a leaf
	took  [lateSamples]time.Duration
	count int           // of all so far
	late  time.Duration // 0: not known
}

// add notes how long an answer took, or how long it was waited for at least.
func (l *lateness) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took[l.count%lateSamples] = took
	l.count++
	if l.count < lateAfter || l.late > 0 && l.count%lateEvery > 0 {
		return
	}
	sorted := l.took
	known := sorted[:min(l.count, lateSamples)]
	slices.Sort(known)
	l.late = max(lateAtLeast, known[int(lateShare*float64(len(known)))])
}

// after gives when an answer is late; 0 when that is not known.
func (l *lateness) after() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}
