package cache

// keep writes a complete part to where it stays; what can't be written lingers
// in memory for its readers. The disk slows readers down only while it is waited
// for, see writes.
func (c *Cache) keep(o *object, p *part) {
	if !p.keep || c.health.bypassed() {
		c.linger.add(o, p)
		return
	}
	if !o.small() { // the writer takes those in batches
		if !c.writes.wait(p) {
			c.gaveUp(o, p)
			c.linger.add(o, p)
			return
		}
		defer c.writes.done()
	}
	if !c.quota.reserve(c.ctx, p.n, c.mayEvict(o)) {
		c.n.unkept.Add(1)
		c.linger.add(o, p)
		return
	}
	if o.small() {
		c.table.hold(o)
		c.writer.put(o, p)
		return
	}
	if !c.write(o, p) {
		c.quota.release(p.n)
		c.linger.add(o, p)
		return
	}
	if p.loaded.Load() {
		c.linger.add(o, p)
	}
}

// mayEvict: an object that does not fit does not push out all others.
func (c *Cache) mayEvict(o *object) bool { return o.size <= c.quota.limit-c.quota.limit/8 }

// write puts p into the object's file and notes its blocks. The index follows:
// never a block in it whose bytes were not written. p is loaded when it is to stay
// in memory for its reader.
func (c *Cache) write(o *object, p *part) bool {
	o.mu.Lock()
	if o.pass != nil || !o.agrees(p) {
		o.mu.Unlock()
		return false
	}
	gen := o.gen
	f, err := o.handle(true)
	prover := c.prover(o, p)
	o.mu.Unlock()
	if err == nil {
		_, err = f.WriteAt(p.buf[:p.n], p.off)
	}
	if err == nil && prover != nil {
		prover.upTo(p.buf, p.n)
	}
	if err != nil {
		c.noteDisk(err)
		return false
	}
	c.health.good()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen != gen || !o.agrees(p) {
		return false
	}
	o.added(p.off/BlockSize, p.crc)
	if prover != nil {
		o.proof.add(p.off, p.n, prover)
	}
	if p.verified {
		o.flags |= flagVerified
		o.learnStored() // it is the whole
	}
	o.reserved += p.n
	c.writer.dirty(o)
	c.completed(o)
	if p.awaited && !p.consumed() {
		p.loaded.Store(true) // its reader need not go to the disk for it
		return true
	}
	o.remove(p)
	close(p.settled)
	c.unref(p)
	return true
}
