package cache

import "time"

const (
	tidyEvery    = time.Second
	tidyMax      = 5 * time.Second
	measureEvery = 2  // tidies
	settledAfter = 10 // tidies
)

// janitor does what is due by time: memory given back, garbage in the index
// collected, the reserve kept or freed.
func (c *Cache) janitor() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-c.ctx.Done():
			return
		case n := <-c.budget.soon:
			c.reclaim(n, false)
			i--
			continue
		case <-tick.C:
		}
		c.linger.expire(lingerMax)
		c.budget.trim()
		c.keepReserve()
		if i == settledAfter {
			c.settled()
		}
		c.writer.kick()
		if c.index != nil && i%measureEvery == 0 {
			c.tidyIndex()
		}
	}
}

// settled notes whether this run met damage in the index.
func (c *Cache) settled() {
	if c.n.indexErrors.Load() > 0 {
		c.noteDisk(c.dir.suspect())
		return
	}
	c.dir.settled()
}

// keepReserve frees the reserve file when the file system runs full, so that
// badger can still write out what it holds, and makes it anew when there is
// room again.
func (c *Cache) keepReserve() {
	c.quota.mu.Lock()
	free, floor := c.quota.freeBytes(), c.quota.floor
	c.quota.mu.Unlock()
	switch {
	case free < floor/2:
		c.noteDisk(c.dir.freeReserve())
	case free > floor+2*reserveBytes && !exists(c.dir.join(reserveName)):
		c.noteDisk(c.dir.allocateReserve())
	}
}

// tidyIndex measures the index and has its garbage collected, a file at a time.
func (c *Cache) tidyIndex() {
	c.measure()
	c.writer.counts()
	for end := time.Now().Add(tidyMax); c.quota.dirty() && time.Now().Before(end); c.measure() {
		if !c.writer.collect(c.ctx) {
			return
		}
	}
}

func (c *Cache) measure() {
	disk := c.index.diskBytes()
	c.n.indexDisk.Store(disk)
	c.quota.measured(disk)
}
