package cache

import "math/bits"

const (
	// regionBlocks is the unit in which random reads are found to be dense: 8 MiB.
	regionBlocks = 128
	// denseFrom is how many of its blocks must be here for the rest to be fetched
	// behind them: eight times what was asked for is fetched at most.
	denseFrom = regionBlocks / 8
)

// fillRegion fetches what is missing around block b when much of it was read at
// random, as a mapped file is: as far as requests and memory are free. o.mu is held.
func (c *Cache) fillRegion(o *object, b int64) {
	first := b / regionBlocks * regionBlocks
	if o.regionBlocks(first) < denseFrom {
		return
	}
	end := min((first+regionBlocks)*BlockSize, o.size)
	for at := c.nextMissing(o, first, end, true); at < end; {
		off, n := c.gap(o, at/BlockSize, at, min(end-at, c.maxPart), true)
		if !c.startAhead(o, off, n, true) {
			return
		}
		at = c.nextMissing(o, (off+n)/BlockSize, end, true)
	}
}

// regionBlocks counts what is on disk or under way of the region that begins with
// block first. o.mu is held.
func (o *object) regionBlocks(first int64) (n int) {
	ch, i := o.chunkOf(first)
	for _, w := range ch.present[i/64 : min(i/64+regionBlocks/64, int64(len(ch.present)))] {
		n += bits.OnesCount64(w)
	}
	for _, p := range o.parts {
		if b := p.off / BlockSize; !p.loaded.Load() && b >= first && b < first+regionBlocks {
			n += int((p.n + BlockSize - 1) / BlockSize)
		}
	}
	return n
}
