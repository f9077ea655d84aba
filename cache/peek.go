package cache

import "github.com/pinfs/pinfs/manifest"

// Peek reads all of a small obj into p, which has its size, if it is here. It asks no
// source and waits for none.
func (c *Cache) Peek(obj manifest.Object, p []byte) bool {
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if !tg.small() || int64(len(p)) != tg.size || tg.checkPieces() != nil || c.enter() != nil {
		return false
	}
	defer c.leave()
	if !c.smallHit(tg.key, p, 0) && !c.peekPart(tg, p) {
		return false
	}
	c.n.hit(len(p))
	return true
}

// peekPart copies what was fetched and is on its way to the disk.
func (c *Cache) peekPart(tg target, p []byte) bool {
	o := c.table.acquire(tg)
	defer c.table.release(o)
	o.mu.Lock()
	part := o.find(0)
	if part == nil || part.off != 0 || part.ready.Load() < tg.size {
		o.mu.Unlock()
		return false
	}
	part.refs.Add(1)
	o.mu.Unlock()
	part.copyTo(p, 0)
	c.release(part, tg.size)
	return true
}
