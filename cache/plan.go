package cache

import (
	"context"
	"errors"
	"math/bits"
)

// plan finds where [off, end) of o is, starts fetches of what is nowhere, and
// looks ahead. Parts in st are referenced for the caller.
func (c *Cache) plan(ctx context.Context, o *object, st *step, off, end int64, disk bool) error {
	if err := c.passGate(ctx, o); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.touch()
	disk = disk && !o.volatile
	if disk {
		disk = c.openForRead(o, st)
	}
	stream := o.streams.touch(off, end-off, c.maxWindow())
	st.gen = o.gen
	if err := c.locate(o, st, stream, off, end, disk); err != nil {
		c.dropStep(st)
		return err
	}
	if stream != nil && !o.whole() {
		c.lookAhead(o, stream, disk)
		if st.file != nil {
			c.loadAhead(o, stream, st.file)
		}
	}
	return nil
}

// openForRead makes st able to read what o has on disk; false when it can't.
// A file that is gone takes its blocks with it.
func (c *Cache) openForRead(o *object, st *step) bool {
	if o.stored == 0 {
		return true
	}
	f, err := o.handle(false)
	if err == nil {
		st.file = f
		return true
	}
	if ignoreAbsent(err) == nil {
		o.reset(o.flags &^ flagVerified)
		c.writer.dirty(o)
		return true
	}
	c.noteDisk(err)
	return false
}

// locate fills st for [off, end); o.mu is held.
func (c *Cache) locate(o *object, st *step, stream *stream, off, end int64, disk bool) error {
	crcs := 0
	for at := off; at < end; {
		b := at / BlockSize
		stop := min((b+1)*BlockSize, end)
		p := o.find(b)
		if crc, ok := o.onDisk(b, disk); ok && (p == nil || !p.loaded.Load()) {
			st.addDisk(at, stop, crc, &crcs)
			at = stop
			continue
		}
		if p == nil {
			var err error
			if p, err = c.demand(o, stream, b, end, disk); err != nil {
				return err
			}
		}
		stop = min(p.end(), end)
		st.addPart(at, stop, p)
		at = stop
	}
	return nil
}

func (o *object) onDisk(b int64, disk bool) (crc uint32, ok bool) {
	if !disk || o.stored == 0 {
		return 0, false
	}
	ch, i := o.chunkOf(b)
	return ch.crc[i], ch.has(i)
}

// addDisk joins neighbouring blocks into one segment.
func (st *step) addDisk(off, end int64, crc uint32, crcs *int) {
	st.crcs[*crcs] = crc
	*crcs++
	if st.n > 0 && st.segs[st.n-1].part == nil {
		st.segs[st.n-1].end = end
		return
	}
	st.segs[st.n] = seg{off: off, end: end, crc: *crcs - 1}
	st.n++
}

func (st *step) addPart(off, end int64, p *part) {
	p.refs.Add(1)
	st.segs[st.n] = seg{off: off, end: end, part: p}
	st.n++
}

func (c *Cache) dropStep(st *step) {
	for i := range st.n {
		if p := st.segs[i].part; p != nil {
			c.unref(p)
		}
	}
}

// errHere: a small object was written since the caller looked.
var errHere = errors.New("it is here")

// demand starts the fetch of block b, which somebody waits for: up to end, or
// for a sequential reader a whole part. o.mu is held.
func (c *Cache) demand(o *object, stream *stream, b, end int64, disk bool) (*part, error) {
	if err := c.failures.recall(o.key, o.pieceOf(b)); err != nil {
		return nil, err
	}
	if o.small() && c.smallHere(o) {
		return nil, errHere
	}
	off, n := int64(0), o.size
	if !o.whole() {
		ahead := int64(0)
		if stream != nil {
			ahead = stream.demand(c.maxPart)
		}
		off, n = c.gap(o, b, end, ahead, disk)
	}
	p := newPart(off, n, o.whole(), disk)
	p.check = o.has(flagVerified) && !o.whole() && !o.pieced()
	p.awaited = stream != nil
	c.start(o, p, nil)
	if stream == nil && disk && !o.whole() {
		c.fillRegion(o, b)
	}
	return p, nil
}

// pieceOf is the piece of block b; -1 when o has none.
func (o *object) pieceOf(b int64) int64 {
	if !o.pieced() {
		return -1
	}
	return o.piece(b * BlockSize)
}

// gap gives the range to be fetched from block b on: up to end, or ahead bytes if
// that is more, in whole blocks or pieces, cut before the first that is here or
// under way. o.mu is held.
func (c *Cache) gap(o *object, b, end, ahead int64, disk bool) (off, n int64) {
	if o.pieced() {
		return c.pieces(o, b, end, ahead, disk)
	}
	off = b * BlockSize
	n = max(min(end-off, c.maxPart), ahead)
	n = min((n+BlockSize-1)/BlockSize*BlockSize, o.size-off)
	for at := off + BlockSize; at < off+n; at += BlockSize {
		if _, ok := o.onDisk(at/BlockSize, disk); ok || o.find(at/BlockSize) != nil {
			return off, at - off
		}
	}
	return off, n
}

// lookAhead keeps the stream's window asked for, as far as requests and memory
// are free. o.mu is held.
func (c *Cache) lookAhead(o *object, st *stream, disk bool) {
	limit := min(st.next+st.window, o.size)
	for st.ahead < limit {
		size := st.part(o.size-st.ahead, int64(c.o.Parallel), c.maxPart)
		at := c.nextMissing(o, st.ahead/BlockSize, limit, disk)
		if at >= limit || (limit-at < size && limit < o.size) {
			return
		}
		off, n := c.gap(o, at/BlockSize, at, size, disk)
		if !c.startAhead(o, off, n, disk) {
			return
		}
		st.ahead = off + n
	}
}

// nextMissing gives the offset of the first block from b on that is neither on
// disk nor under way; limit when there is none before it.
func (c *Cache) nextMissing(o *object, b, limit int64, disk bool) int64 {
	for b*BlockSize < limit {
		if p := o.find(b); p != nil {
			b = (p.end() + BlockSize - 1) / BlockSize
			continue
		}
		if !disk || o.stored == 0 {
			return b * BlockSize
		}
		ch, i := o.chunkOf(b)
		run := int64(bits.TrailingZeros64(^(ch.present[i/64] >> (i % 64))))
		if run == 0 {
			return b * BlockSize
		}
		b += min(run, 64-i%64)
	}
	return limit
}

// maxWindow is how far ahead of one reader is fetched.
func (c *Cache) maxWindow() int64 { return c.pace.parts(int64(c.o.Parallel)) * c.maxPart }

// passGate makes sure that a gated object was verified as a whole. Readers of
// any object wait for a pass that is under way.
func (c *Cache) passGate(ctx context.Context, o *object) error {
	o.mu.Lock()
	open := o.pass == nil && (!o.gated() || o.has(flagVerified) && c.allLearned(o))
	o.mu.Unlock()
	if open {
		return nil
	}
	return c.runPass(ctx, o)
}

// runPass waits for a pass of o, which it starts if none is under way.
func (c *Cache) runPass(ctx context.Context, o *object) error {
	o.mu.Lock()
	ps := o.pass
	if ps == nil {
		if err := c.failures.recall(o.key, -1); err != nil {
			o.mu.Unlock()
			return err
		}
		ps = c.startPass(o)
	}
	o.mu.Unlock()
	return ps.wait(ctx, o.Object, c.o.StallTimeout)
}

// allLearned tells whether the CRC of every block is known, as it must be for
// blocks that are fetched again after a pass.
func (c *Cache) allLearned(o *object) bool {
	if o.learnedAll {
		return true
	}
	for b := int64(0); b < o.blocks(); b += chunkBlocks {
		if ch, _ := o.chunkOf(b); !ch.learned {
			return false
		}
	}
	o.learnedAll = true
	return true
}
