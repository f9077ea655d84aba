package cache

// askLoan queues the checks of o, which somebody would like to borrow, if all of it is
// on disk; else what was given up of it is fetched again, now or when that happens. A full
// queue is no harm: the next open asks again. o.mu is held.
func (c *Cache) askLoan(o *object) {
	if o.pass != nil || o.volatile {
		return
	}
	if o.stored < o.size {
		o.wanted = true
		c.mendSoon(o)
		return
	}
	d := c.lending
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.queued[o.key]; ok {
		return
	}
	select {
	case d.queue <- o.target:
		d.queued[o.key] = struct{}{}
		c.n.busy.Add(1)
	default:
	}
}

// lender does the checks that were asked for, one after the other.
func (c *Cache) lender() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case tg := <-c.lending.queue:
			c.checkForLoan(tg)
			c.lending.mu.Lock()
			delete(c.lending.queued, tg.key)
			c.n.busy.Add(-1)
			c.lending.mu.Unlock()
		}
	}
}

// checkForLoan verifies the whole if that is still to be done, then compares each
// block on disk with its CRC32C, unless the first has read them all.
func (c *Cache) checkForLoan(tg target) {
	o := c.table.acquire(tg)
	defer c.table.release(o)
	if c.verify(c.ctx, o, true) != nil {
		return // it is noted
	}
	c.verifiedNow(o) // learns the CRCs if a check of the whole stands for them
	o.mu.Lock()
	gen := o.gen
	o.mu.Unlock()
	if c.lending.good(o.key) {
		return
	}
	if c.scan(o) == nil {
		c.scanned(o, gen)
	}
}

// scan reads all blocks of a complete object from disk, each of which is compared
// with its CRC32C. Fetches go first.
func (c *Cache) scan(o *object) error {
	buf, err := c.budget.get(c.ctx, passBuffer)
	if err != nil {
		return err
	}
	defer c.budget.put(buf)
	for off := int64(0); off < o.size; off += passBuffer {
		c.giveWay(c.ctx)
		if err := c.readStored(o, buf[:min(passBuffer, o.size-off)], off); err != nil {
			return err
		}
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
	}
	return nil
}

// scanned notes that every block of o was read from disk and was right.
func (c *Cache) scanned(o *object, gen uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen == gen {
		c.lending.note(o.key)
	}
}

// note remembers that the file of k may be lent as far as its blocks go: this process
// has seen that what is in it is what was fetched. The object's mu is held.
func (d *lending) note(k key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.checked) >= maxChecked {
		clear(d.checked)
	}
	d.checked[k] = struct{}{}
}
