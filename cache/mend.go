package cache

import "time"

// A disk that is too slow has parts given up (writes). Their reader has their bytes in
// the kernel's cache of the mount and does not come again, so that the object would
// never be complete, and never be lent. Of objects that somebody would borrow, what was
// given up is fetched again when nothing waits for the disk any more: a part at a time, with
// memory and requests that are to spare.

// span is n bytes from off on.
type span struct{ off, n int64 }

const (
	mendQueue = shardCount * idleMax // as many objects as stay in memory anyway
	// maxLacks bounds what is noted of one object, 16 bytes each.
	maxLacks = 4096
	// mendEvery is how often it is looked whether there is room, mendTries how often
	// in a row there may be none: half a minute. The next who wants a loan begins anew.
	mendEvery = 50 * time.Millisecond
	mendTries = 600
	// mendTimes is how many times the bytes given up are fetched at most.
	mendTimes = 2
)

// gaveUp notes that p is not written, because the disk is slow.
func (c *Cache) gaveUp(o *object, p *part) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lacks) < maxLacks && !o.small() {
		o.lacks = append(o.lacks, span{p.off, p.n})
	}
	c.mendSoon(o)
}

// mendSoon queues o if somebody would borrow it and something of it was given up. A
// full queue is no harm: the next open asks again. o.mu is held.
func (c *Cache) mendSoon(o *object) {
	if !o.wanted || o.mending || len(o.lacks) == 0 || c.ctx.Err() != nil {
		return
	}
	o.mending = c.enqueue(c.toMend, o)
}

// mender mends what was queued, one object after the other.
func (c *Cache) mender() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case o := <-c.toMend:
			c.mend(o)
			o.mu.Lock()
			if o.mending = false; o.stored == o.size {
				c.askLoan(o)
			}
			o.mu.Unlock()
			c.dequeued(o)
		}
	}
}

// mend fetches what o lacks until there is nothing, or it gives up itself.
func (c *Cache) mend(o *object) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	left := int64(-1)
	for tries := 0; tries < mendTries; tries++ {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		for c.writes.calm() {
			c.giveWay(c.ctx)
			p, lacks := c.mendNext(o)
			if left < 0 {
				left = mendTimes * lacks
			}
			if lacks == 0 || left <= 0 {
				return
			}
			if p == nil {
				break
			}
			if c.ended(c.ctx, o, p) != nil {
				return // it is noted
			}
			left, tries = left-p.n, 0
		}
	}
}

// mendNext starts the fetch of the next part that o lacks, and gives how many bytes it
// lacked before; no part while there is no room for one, or while one is in memory.
func (c *Cache) mendNext(o *object) (p *part, lacks int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.findLacks()
	for _, s := range o.lacks {
		lacks += s.n
	}
	if lacks == 0 || c.failures.recall(o.key, -1) != nil {
		return nil, 0
	}
	s := &o.lacks[0]
	if o.pass != nil || o.find(s.off/BlockSize) != nil || c.health.bypassed() {
		return nil, lacks
	}
	off, n := int64(0), o.size
	if !o.whole() {
		off, n = c.gap(o, s.off/BlockSize, s.off+s.n, 0, true)
	}
	if p = c.startSpare(o, off, n, true, false); p != nil {
		end := s.off + s.n
		s.off = min(off+n, end)
		s.n = end - s.off
	}
	return p, lacks
}

// findLacks drops what is on disk by now from the beginning of the lacks; o.mu is held.
func (o *object) findLacks() {
	for len(o.lacks) > 0 {
		s := &o.lacks[0]
		if s.n > 0 {
			if _, here := o.onDisk(s.off/BlockSize, true); !here {
				return
			}
		}
		n := min(BlockSize, s.n)
		s.off, s.n = s.off+n, s.n-n
		if s.n == 0 {
			o.lacks = o.lacks[1:]
		}
	}
}
