package cache

import (
	"context"
	"sync"
	"time"
)

// quota counts the bytes of content on disk. What a fetch is about to write is
// reserved first, so that the limit holds with any number of them.
type quota struct {
	limit int64
	floor int64
	free  func() (int64, error) // of the file system
	kick  func()                // asks the writer to evict

	mu sync.Mutex
	tally
	reserved int64         // written, or about to be, and not in the index yet
	garbage  int64         // what the index occupies beyond its content
	wanted   int64         // the most that a reserve waits for
	round    chan struct{} // closed when an eviction round ended
	freeNow  int64
	freeAt   time.Time
}

// tally is what the index holds.
type tally struct {
	used    int64 // bytes of content
	small   int64 // the part of it that is in the index itself
	objects int64
}

func (t *tally) add(u tally) {
	t.used += u.used
	t.small += u.small
	t.objects += u.objects
}

func (r record) tally() tally {
	t := tally{used: r.stored, objects: 1}
	if r.size <= BlockSize {
		t.small = r.stored
	}
	return t
}

func (t tally) negative() tally { return tally{-t.used, -t.small, -t.objects} }

// Eviction begins before the limit is reached, and goes a little further down,
// so that fetches seldom wait for it: limit/evictAt from the limit.
const (
	evictAt   = 32
	evictTo   = 16
	garbageAt = 16
	freeFresh = 50 * time.Millisecond
	roundMax  = 2 * time.Second
)

// reserve takes n bytes; false when they are not to be had, at once or, when
// evict, after a round of eviction. Without evict it takes no room that others
// would have to leave for.
func (q *quota) reserve(ctx context.Context, n int64, evict bool) bool {
	for try := 0; ; try++ {
		round, ok := q.tryReserve(n, evict)
		if ok {
			return true
		}
		if !evict || try == 2 {
			return false
		}
		q.kick()
		select {
		case <-round:
		case <-ctx.Done():
			return false
		case <-time.After(roundMax):
			return false
		}
	}
}

func (q *quota) tryReserve(n int64, evict bool) (<-chan struct{}, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.limit
	if !evict {
		limit -= q.limit / evictAt
	}
	if q.used+q.reserved+q.garbageCounted()+n <= limit && q.freeBytes()-n >= q.floor {
		q.reserved += n
		if q.overNow() > 0 {
			q.kick()
		}
		return nil, true
	}
	if evict {
		q.wanted = max(q.wanted, n)
	}
	return q.round, false
}

// garbageCounted bounds how much of the limit is lost to values that badger has
// not collected yet. q.mu is held.
func (q *quota) garbageCounted() int64 { return min(q.garbage, q.limit/4) }

func (q *quota) release(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved -= n
}

// committed notes what a commit added to the index, and gives back what was
// reserved for it.
func (q *quota) committed(t tally, released int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.add(t)
	q.reserved -= released
}

func (q *quota) now() tally {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tally
}

// recordCost is about what an object costs the index beside its content.
const recordCost = 400

// measured takes what the index occupies on disk.
func (q *quota) measured(disk int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.garbage = max(0, disk-q.small-q.objects*recordCost-indexBase)
}

// dirty tells that the index holds so much garbage that it is worth collecting.
func (q *quota) dirty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.garbage > q.limit/garbageAt
}

// indexBase is what an index occupies when it is empty: logs being written.
const indexBase = 8 << 20

// freeBytes asks the file system at most every freeFresh; q.mu is held.
func (q *quota) freeBytes() int64 {
	if now := time.Now(); now.Sub(q.freeAt) > freeFresh {
		q.freeAt = now
		if free, err := q.free(); err == nil {
			q.freeNow = free
		} else {
			q.freeNow = 0
		}
	}
	return q.freeNow
}

// over gives how many bytes are to be evicted now.
func (q *quota) over() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.overNow()
}

func (q *quota) overNow() int64 {
	total := q.used + q.reserved + q.garbageCounted() + q.wanted
	var over int64
	if total > q.limit-q.limit/evictAt {
		over = total - (q.limit - q.limit/evictTo)
	}
	if short := q.floor + q.wanted - q.freeBytes(); short > over {
		over = min(short, q.used)
	}
	return over
}

// critical tells that the file system is so full that not even the index may
// be written: badger's files are mapped, and a full disk under them is SIGBUS. It
// asks anew: others may fill a disk within milliseconds.
func (q *quota) critical() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.freeAt = time.Time{}
	return q.freeBytes() < q.floor/2
}

// evicted ends a round: who waits looks again.
func (q *quota) evicted() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wanted = 0
	q.freeAt = time.Time{}
	close(q.round)
	q.round = make(chan struct{})
}
