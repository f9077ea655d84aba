package cache

import (
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Ahead is what became of a Prefetch.
type Ahead int

// The answers of Prefetch.
const (
	// AheadFull: there is no room for it now, in memory or among the requests.
	AheadFull Ahead = iota
	// AheadHere: there was nothing to do. It is here or under way, or it can't be
	// fetched ahead: its size is unknown, it failed lately, only its content pins it.
	AheadHere
	// AheadStarted: its fetch has begun.
	AheadStarted
)

// Prefetch begins to fetch obj, or its first n bytes if it is larger than 1 MiB,
// for a reader that is expected soon. It waits for no fetch, at
// most for one commit of the evictor. What was fetched is
// served from memory until it is on disk. It takes no more of the memory and of the
// requests than read-ahead may, and no more requests than hide the latency of the
// source.
func (c *Cache) Prefetch(obj manifest.Object, n int64) Ahead {
	if obj.Size == 0 || n <= 0 {
		return AheadHere
	}
	if c.n.aheadNow.Load() >= c.aheadMax() {
		return AheadFull
	}
	if c.enter() != nil {
		return AheadHere
	}
	defer c.leave()
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if tg.size < 0 {
		var known bool
		if tg.size, known = c.keptSize(tg.key); !known || tg.size == 0 {
			return AheadHere
		}
	}
	if tg.checkPieces() != nil {
		return AheadHere // the reader gets the error
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.prefetch(o, min(n, c.maxPart))
}

// prefetch starts the first part of o if nothing of it is here; o.mu is held.
func (c *Cache) prefetch(o *object, n int64) Ahead {
	disk := !o.volatile && !c.health.bypassed()
	if len(o.parts) > 0 || o.pass != nil || o.gated() || o.small() && c.smallHere(o) {
		return AheadHere
	}
	if _, here := o.onDisk(0, disk && !o.small()); here || c.failures.recall(o.key, o.pieceOf(0)) != nil {
		return AheadHere
	}
	if o.whole() {
		n = o.size
	} else {
		_, n = c.gap(o, 0, 0, min(n, o.size), disk)
	}
	if !c.startWhole(o, n, disk) {
		return AheadFull
	}
	return AheadStarted
}

// startWhole is startAhead for what may be a whole object; o.mu is held.
func (c *Cache) startWhole(o *object, n int64, disk bool) bool {
	if c.n.aheadNow.Add(1) > c.aheadMax() || !c.requests.TryAcquire(1) {
		c.n.aheadNow.Add(-1)
		return false
	}
	p := newPart(0, n, o.whole(), disk)
	buf, ok := c.budget.try(p.room(o))
	if !ok {
		c.requests.Release(1)
		c.n.aheadNow.Add(-1)
		return false
	}
	p.ahead, p.check = true, o.has(flagVerified) && !o.whole() && !o.pieced()
	c.n.prefetched.Add(1)
	c.start(o, p, buf)
	return true
}

const (
	// aheadLeast and aheadPerMs say how many requests hide a latency: those that
	// keep two processors busy with a source on this host, and more for each
	// millisecond that the fastest answer takes.
	aheadLeast = 16
	aheadPerMs = 8
	// latencyLife is how long the fastest answer counts.
	latencyLife = 5 * time.Second
)

// aheadMax is how many requests of Prefetch may be in flight.
func (c *Cache) aheadMax() int64 {
	most := int64(c.o.Requests) * 3 / 4
	return max(1, min(most, aheadLeast+aheadPerMs*int64(c.latency.best()/time.Millisecond)))
}

// WarmAtOnce is how many calls of Warm for small objects are worth to be under way:
// what hides the latency of the source as it is now, and as many again that wait to
// be written together.
func (c *Cache) WarmAtOnce() int { return 2 * int(c.aheadMax()) }
