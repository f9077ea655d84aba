package cache

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// checkPart checks a part that holds a whole object before it is served.
func (c *Cache) checkPart(o *object, p *part) error {
	if !p.whole {
		return nil
	}
	if o.pieced() {
		p.verified = true // by its pieces, as they came
		return nil
	}
	want, ok := o.sumHere()
	if !ok {
		return nil
	}
	if err := checkBytes(o.Object, want, p.buf[:p.n]); err != nil {
		c.n.mismatches.Add(1)
		return err
	}
	p.verified = true
	return nil
}

// checkLearned compares block i of p with what a pass learned of it.
func (c *Cache) checkLearned(o *object, p *part, i int64) error {
	b := p.off/BlockSize + i
	crc, ok := o.learned(b)
	switch {
	case !ok && o.gatedNow():
		o.mu.Lock()
		o.flags &^= flagVerified // its table was lost: another pass
		o.learnedAll = false
		o.mu.Unlock()
		return &manifest.Error{Kind: manifest.KindOther, Op: op, Ref: o.Ref, Msg: "block table lost"}
	case !ok || crc == p.crc[i]:
		return nil
	}
	c.n.mismatches.Add(1)
	got := fmt.Sprintf("other bytes at offset %d", b*BlockSize)
	if manifest.Scheme(o.Ref) == "file" {
		return manifest.LocalMismatch(op, o.Ref, o.Digest, got)
	}
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: o.Ref, Expected: o.Digest, Found: got}
}

func (o *object) gatedNow() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gated()
}

// completed queues o for the background check when all of it is on disk. The
// queue is short; what finds no place is queued when it is used again. Blocks that
// were all written here need not be read back before they are lent. o.mu is held.
func (c *Cache) completed(o *object) {
	if o.stored == o.size && !o.inherited {
		c.lending.note(o.key)
	}
	if o.pieced() && o.stored == o.size {
		c.verifiedPieces(o)
		return
	}
	if o.stored < o.size || o.whole() || o.volatile || o.has(flagVerified|flagNoSum) {
		return
	}
	c.enqueue(c.toVerify, o)
}

// enqueue queues o and counts it as busy, unless the queue is full. Whoever takes it out
// calls dequeued.
func (c *Cache) enqueue(queue chan *object, o *object) bool {
	c.table.hold(o)
	c.n.busy.Add(1)
	select {
	case queue <- o:
		return true
	default:
		c.dequeued(o)
		return false
	}
}

// dequeued ends what enqueue began.
func (c *Cache) dequeued(o *object) {
	c.n.busy.Add(-1)
	c.table.release(o)
}

// verifier checks complete objects one after the other, behind the readers.
func (c *Cache) verifier() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case o := <-c.toVerify:
			_ = c.verify(c.ctx, o, true) // it is noted
			c.dequeued(o)
		}
	}
}

// check is a check of a complete object under way.
type check struct {
	done chan struct{}
	err  error // set before done closes
}

// verify checks a complete object against its checksum, once at a time. On a
// mismatch its content is dropped, and no byte of it is served before a pass
// verified it.
func (c *Cache) verify(ctx context.Context, o *object, polite bool) error {
	o.mu.Lock()
	if o.pieced() && o.stored == o.size {
		c.verifiedPieces(o)
	}
	if o.stored < o.size || o.has(flagVerified|flagNoSum) {
		o.mu.Unlock()
		return nil
	}
	ck, mine := o.check, o.check == nil
	if mine {
		ck = &check{done: make(chan struct{})}
		o.check = ck
	}
	gen := o.gen
	o.mu.Unlock()
	if mine {
		ck.err = c.runCheck(ctx, o, gen, polite)
		o.mu.Lock()
		o.check = nil
		o.mu.Unlock()
		close(ck.done)
	}
	select {
	case <-ck.done:
		return ck.err
	case <-ctx.Done():
		return waitError(ctx, o.Object)
	}
}

func (c *Cache) runCheck(ctx context.Context, o *object, gen uint64, polite bool) error {
	want, err := c.wholeSum(ctx, o)
	if err != nil {
		return err
	}
	if want.Alg == "" {
		c.mark(o, gen, flagNoSum)
		return nil
	}
	got, read, err := c.hashStored(ctx, o, gen, want.Alg, polite)
	if err != nil {
		return ignoreDamage(err)
	}
	if err := o.CheckSum(op, want, got); err != nil {
		c.mismatch(ctx, o, gen, err)
		return err
	}
	c.mark(o, gen, flagVerified)
	if read == o.size {
		c.scanned(o, gen)
	}
	return nil
}

// mismatch notes err, drops the content of o and tells who may have been served
// of it.
func (c *Cache) mismatch(ctx context.Context, o *object, gen uint64, err error) {
	c.n.mismatches.Add(1)
	c.noteFailure(o.target, err)
	if c.distrust(o, gen) && c.o.OnMismatch != nil {
		c.o.OnMismatch(ctx, o.Object, err)
	}
}

// errDamaged: a block on disk failed its check; a reader will fetch it again,
// and the object is complete again after that.
var errDamaged = errors.New("damaged block")

func ignoreDamage(err error) error {
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// hashStored computes the checksum of what is on disk: from the CRCs of the
// blocks or from those of what was written when that is enough, else by reading it;
// read is how many bytes were.
func (c *Cache) hashStored(ctx context.Context, o *object, gen uint64, alg manifest.SumAlg, polite bool) (sum []byte, read int64, err error) {
	switch {
	case alg == manifest.SumCRC32C:
		crcs, err := o.allCRCs(gen)
		return crcWhole(crcs, o.size), 0, err
	case alg.Joiner() != nil:
		return c.provenSum(ctx, o, alg, polite)
	}
	h := alg.New()
	err = c.hashRange(ctx, o, h, 0, o.size, polite)
	return h.Sum(nil), o.size, err
}

// hashRange reads [off, end) from disk into h.
func (c *Cache) hashRange(ctx context.Context, o *object, h hash.Hash, off, end int64, polite bool) error {
	buf, err := c.budget.get(ctx, passBuffer)
	if err != nil {
		return err
	}
	defer c.budget.put(buf)
	for ; off < end; off += passBuffer {
		if polite {
			c.giveWay(ctx)
		}
		b := buf[:min(passBuffer, end-off)]
		if err := c.readStored(o, b, off); err != nil {
			return err
		}
		h.Write(b)
	}
	return ctx.Err()
}

// giveWay lets fetches go first, for a while.
func (c *Cache) giveWay(ctx context.Context) {
	for range 20 {
		if c.n.inFlight.Load() == 0 || ctx.Err() != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// allCRCs gives the CRC of each block. What was dropped since gen or whose table was
// lost says nothing of the source's bytes: that is damage.
func (o *object) allCRCs(gen uint64) ([]uint32, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	crcs := make([]uint32, 0, o.blocks())
	for b := int64(0); b < o.blocks(); b += chunkBlocks {
		ch, _ := o.chunkOf(b)
		if o.gen != gen || !ch.full() {
			return nil, errDamaged
		}
		crcs = append(crcs, ch.crc...)
	}
	return crcs, nil
}

// readStored reads b at off from disk only.
func (c *Cache) readStored(o *object, b []byte, off int64) error {
	var st step
	o.mu.Lock()
	err := c.locateStored(o, &st, off, off+int64(len(b)))
	o.mu.Unlock()
	if err != nil {
		return err
	}
	if !c.readDisk(o, &st, &st.segs[0], b) {
		return errDamaged
	}
	return nil
}

func (c *Cache) locateStored(o *object, st *step, off, end int64) error {
	if !c.openForRead(o, st) || st.file == nil {
		return errDamaged
	}
	st.gen = o.gen
	crcs := 0
	for at := off; at < end; at += BlockSize {
		crc, ok := o.onDisk(at/BlockSize, true)
		if !ok {
			return errDamaged
		}
		st.addDisk(at, min(at+BlockSize, end), crc, &crcs)
	}
	return nil
}

// mark notes the outcome of a check. A verified object's CRCs are known to be
// right, also for blocks that have to be fetched again.
func (c *Cache) mark(o *object, gen uint64, flag uint8) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen != gen {
		return
	}
	o.flags |= flag
	if flag == flagVerified {
		for b := int64(0); b < o.blocks(); b += chunkBlocks {
			if ch, _ := o.chunkOf(b); ch.full() { // else it was lost, and has no CRCs to learn
				ch.learned = true
				o.dirty[b/chunkBlocks] = struct{}{}
			}
		}
	}
	c.writer.dirty(o)
}

// distrust drops the content of o after a mismatch, unless it is another by now.
func (c *Cache) distrust(o *object, gen uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen != gen {
		return false
	}
	o.reset(o.flags&flagKept | flagDistrusted)
	o.sums, o.worth, o.asked = nil, false, false // the source is heard anew
	o.parts = nil                                // in memory; who waits for one keeps it
	c.writer.dirty(o)
	return true
}
