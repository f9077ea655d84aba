package cache

const (
	// loadWindow is how far ahead of a sequential reader the disk is read.
	loadWindow = 16 << 20
	loadPart   = hugePage
)

// loadAhead reads from disk what a sequential reader will want next: into parts
// like those of fetches, several at a time, past the kernel's page cache. o.mu is
// held.
func (c *Cache) loadAhead(o *object, stream *stream, f File) {
	limit := min(stream.next+min(stream.window, loadWindow), o.size)
	at := max(stream.loaded, (stream.next+BlockSize-1)/BlockSize*BlockSize)
	for at < limit {
		if p := o.find(at / BlockSize); p != nil {
			at = (p.end() + BlockSize - 1) / BlockSize * BlockSize
			continue
		}
		crcs := o.storedRun(at/BlockSize, min(loadPart, o.size-at))
		if len(crcs) == 0 {
			at += BlockSize
			continue
		}
		if limit-at < loadPart && limit < o.size {
			break
		}
		n := min(int64(len(crcs))*BlockSize, o.size-at)
		if !c.startLoad(o, f, at, n, crcs) {
			break
		}
		at += n
	}
	stream.loaded = at
}

// storedRun gives the CRCs of the blocks from b on that are on disk and in no part,
// for n bytes at most. o.mu is held.
func (o *object) storedRun(b, n int64) (crcs []uint32) {
	for end := b + (n+BlockSize-1)/BlockSize; b < end; b++ {
		crc, ok := o.onDisk(b, true)
		if !ok || o.find(b) != nil {
			break
		}
		crcs = append(crcs, crc)
	}
	return crcs
}

// startLoad begins to read a part from disk, if memory is to spare. o.mu is held.
func (c *Cache) startLoad(o *object, f File, off, n int64, crcs []uint32) bool {
	buf, ok := c.budget.try(n)
	if !ok {
		return false
	}
	p := newPart(off, n, false, false)
	p.ahead, p.buf, p.crc = true, buf, crcs
	p.loaded.Store(true)
	gen := o.gen
	o.parts = append(o.parts, p)
	c.table.hold(o)
	c.wg.Go(func() { c.load(o, p, f, gen) })
	return true
}

// load reads p from disk and checks it. Who waits for one that is damaged plans
// anew.
func (c *Cache) load(o *object, p *part, f File, gen uint64) {
	defer c.table.release(o)
	bad := c.readRun(o, f, p.buf[:p.n], p.off, p.crc)
	if bad < 0 {
		p.publish(p.n)
		p.finish(nil)
		c.linger.add(o, p)
		return
	}
	c.lost(o, gen, bad)
	o.mu.Lock()
	o.remove(p)
	o.mu.Unlock()
	p.finish(errDamaged)
	close(p.settled)
	c.unref(p)
}
