package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"

	"github.com/dgraph-io/badger/v4"

	"github.com/pinfs/pinfs/manifest"
)

// ReadVerifiedAt is ReadAt that gives no byte before the whole of obj was
// verified: what is not is fetched whole, or read from disk, and checked first.
// Each block that it gives has the CRC32C that the check of the whole found. Of an
// object with chunk digests only the chunks that are read are verified.
// KindUnsupported: neither the manifest nor the source knows a checksum of the
// whole. Other errors as for ReadAt.
func (c *Cache) ReadVerifiedAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	return c.readAt(ctx, obj, p, off, c.readVerified)
}

func (c *Cache) readVerified(ctx context.Context, tg target, p []byte, off int64) (int, error) {
	if tg.pieced() {
		return c.readTarget(ctx, tg, p, off) // nothing else is ever served
	}
	if tg.small() {
		return c.verifiedSmall(ctx, tg, p, off)
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	n, tries := 0, 0
	for n < len(p) {
		if err := c.ensureVerified(ctx, o); err != nil {
			return n, err
		}
		m, err := c.readLearned(ctx, o, p[n:], off+int64(n))
		if err != nil && err != errOther {
			return n, err
		}
		if n += m; err == nil {
			continue
		}
		if tries++; tries >= maxTries {
			return n, &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: o.Ref, Msg: "reads differ from what was verified"}
		}
	}
	return n, nil
}

// errOther: a block is not, or not known to be, what was verified.
var errOther = errors.New("another block")

// readLearned reads a run of whole blocks into p, or the piece of one, and
// compares each with what the check of the whole found.
func (c *Cache) readLearned(ctx context.Context, o *object, p []byte, off int64) (int, error) {
	b := off / BlockSize
	size := blockLen(o.size, b)
	if off == b*BlockSize && int64(len(p)) >= size {
		n := min(int64(len(p)), maxStep)
		if off+n < o.size {
			n = n / BlockSize * BlockSize
		}
		return c.readBlocks(ctx, o, p[:n], b)
	}
	buf := c.blocks.Get().(*[BlockSize]byte)
	defer c.blocks.Put(buf)
	if _, err := c.readBlocks(ctx, o, buf[:size], b); err != nil {
		return 0, err
	}
	return copy(p, buf[off-b*BlockSize:size]), nil
}

func (c *Cache) readBlocks(ctx context.Context, o *object, p []byte, first int64) (int, error) {
	if _, err := c.readTarget(ctx, o.target, p, first*BlockSize); err != nil {
		return 0, err
	}
	for n := 0; n < len(p); n += BlockSize {
		got := crc32.Checksum(p[n:min(n+BlockSize, len(p))], castagnoli())
		if !o.confirm(first+int64(n/BlockSize), got) {
			return 0, errOther
		}
	}
	return len(p), nil
}

// confirm tells whether block b must have that CRC. If not, what gave another
// one is forgotten, so that the next read fetches it.
func (o *object) confirm(b int64, crc uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch, i := o.chunkOf(b)
	switch {
	case !ch.learned: // its table was lost: another check of the whole
		o.flags &^= flagVerified
		o.learnedAll = false
		return false
	case ch.crc[i] == crc:
		return true
	}
	if p := o.find(b); p != nil {
		o.remove(p)
	}
	return false
}

// ensureVerified returns when the whole of o was verified and the CRCs of all
// its blocks are known.
func (c *Cache) ensureVerified(ctx context.Context, o *object) error {
	for range maxTries {
		ok, complete := c.verifiedNow(o)
		if ok {
			return nil
		}
		err := c.verifyNow(ctx, o, complete)
		if err != nil && (ctx.Err() != nil || manifest.KindOf(err) != manifest.KindCanceled || c.ctx.Err() != nil) {
			return err // but for the end of somebody else's wait
		}
	}
	return &manifest.Error{Kind: manifest.KindOther, Op: op, Ref: o.Ref, Msg: "can't be verified: its content keeps changing under the check"}
}

func (c *Cache) verifyNow(ctx context.Context, o *object, complete bool) error {
	if o.whole() {
		return c.verifyWhole(ctx, o)
	}
	if _, err := c.knownSum(ctx, o); err != nil {
		return err
	}
	if complete {
		return c.verify(ctx, o, false)
	}
	return c.runPass(ctx, o)
}

// verifiedNow tells whether o is verified with all CRCs known, and else whether
// all of it is on disk to be checked there.
func (c *Cache) verifiedNow(o *object) (ok, complete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	complete = o.stored == o.size && !c.health.bypassed() && !o.has(flagNoSum)
	switch {
	case o.pass != nil:
		return false, false
	case !o.has(flagVerified):
		return false, complete
	case c.allLearned(o):
		return true, false
	case complete:
		o.learnStored()
		c.writer.dirty(o)
		return true, false
	}
	return false, false
}

// learnStored notes that the CRCs of all blocks are those of a verified whole;
// o.mu is held.
func (o *object) learnStored() {
	for b := int64(0); b < o.blocks(); b += chunkBlocks {
		ch, _ := o.chunkOf(b)
		ch.learned = true
		o.dirty[b/chunkBlocks] = struct{}{}
	}
}

// agrees tells whether p has the blocks that a check of the whole found; o.mu is
// held.
func (o *object) agrees(p *part) bool {
	if !o.has(flagVerified) {
		return true
	}
	for i, crc := range p.crc {
		ch, j := o.chunkOf(p.off/BlockSize + int64(i))
		if ch.learned && ch.crc[j] != crc {
			return false
		}
	}
	return true
}

// verifyWhole reads all of an object of at most wholeMax bytes, checks it and
// learns its CRCs. The response that brings it often has the checksum, so that
// is asked for last.
func (c *Cache) verifyWhole(ctx context.Context, o *object) error {
	if err := c.strict.Acquire(ctx, 1); err != nil {
		return waitError(ctx, o.Object)
	}
	defer c.strict.Release(1)
	o.mu.Lock()
	gen := o.gen
	o.mu.Unlock()
	buf := make([]byte, o.size)
	if _, err := c.readTarget(ctx, o.target, buf, 0); err != nil {
		return err
	}
	want, err := c.knownSum(ctx, o)
	if err != nil {
		return err
	}
	if err := checkBytes(o.Object, want, buf); err != nil {
		c.mismatch(ctx, o, gen, err)
		return err
	}
	c.learn(o, gen, buf)
	return nil
}

// learn takes the CRCs of o's blocks from its verified content. A block on disk
// that is another is forgotten.
func (c *Cache) learn(o *object, gen uint64, content []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen != gen {
		return
	}
	for b := int64(0); b < o.blocks(); b++ {
		crc := crc32.Checksum(content[b*BlockSize:min((b+1)*BlockSize, o.size)], castagnoli())
		ch, i := o.chunkOf(b)
		if ch.has(i) && ch.crc[i] != crc {
			o.lost(b)
		}
		ch.crc[i] = crc
	}
	o.learnStored()
	o.flags = o.flags&flagKept | flagVerified
	c.writer.dirty(o)
}

// knownSum is wholeSum where there must be something: a source that had none is asked
// again each time.
func (c *Cache) knownSum(ctx context.Context, o *object) (manifest.Sum, error) {
	if _, ok := o.sumHere(); !ok {
		o.noteAsked(false)
	}
	sum, err := c.wholeSum(ctx, o)
	if err == nil && sum.Alg == "" {
		err = &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: o.Ref,
			Msg: "no checksum of its whole content is known, and only what was verified is served here", Hint: "mount with --verify fill to read it"}
	}
	return sum, err
}

// verifiedSmall serves an object that lives in the index: at once when it was
// verified before it was written, else after a check.
func (c *Cache) verifiedSmall(ctx context.Context, tg target, p []byte, off int64) (int, error) {
	if c.verifiedHit(tg.key, p, off) {
		c.n.hit(len(p))
		return len(p), nil
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	buf := c.blocks.Get().(*[BlockSize]byte)
	defer c.blocks.Put(buf)
	content := buf[:tg.size]
	if _, err := c.readTarget(ctx, tg, content, 0); err != nil {
		return 0, err
	}
	want, err := c.knownSum(ctx, o)
	if err != nil {
		return 0, err
	}
	if err := checkBytes(tg.Object, want, content); err != nil {
		c.mismatch(ctx, o, 0, err)
		return 0, errors.Join(err, c.dropSmall(ctx, tg))
	}
	c.markSmall(tg.key, content)
	return copy(p, content[off:]), nil
}

// verifiedHit is smallHit for content that was verified.
func (c *Cache) verifiedHit(k key, p []byte, off int64) (hit bool) {
	x := c.readable()
	if x == nil {
		return false
	}
	err := x.view(func(txn *badger.Txn) error {
		verified := false
		err := getIn(txn, recordKey(k), func(v []byte) {
			r, ok := decodeRecord(v)
			verified = ok && r.flags&flagVerified != 0
		})
		if err != nil || !verified {
			return err
		}
		return getIn(txn, contentKey(k), func(v []byte) {
			if hit = off+int64(len(p)) <= int64(len(v)); hit {
				copy(p, v[off:])
			}
		})
	})
	if err != nil && !errors.Is(err, errAbsent) {
		c.noteIndex(err)
		return false
	}
	if hit && c.recent.first(k) {
		c.writer.use(k)
	}
	return hit
}

// markSmall notes that the content that is in the index was verified, if it is
// that one.
func (c *Cache) markSmall(k key, content []byte) {
	want := sha256.Sum256(content)
	apply := func(txn *badger.Txn) error {
		same := false
		err := getIn(txn, contentKey(k), func(v []byte) {
			got := sha256.Sum256(v)
			same = bytes.Equal(got[:], want[:])
		})
		if err != nil || !same {
			return ignoreMissing(err)
		}
		return setUse(txn, k, flagVerified, 0)
	}
	c.writer.add(writeOp{apply: apply, done: func(error) {}})
}

func ignoreMissing(err error) error {
	if errors.Is(err, errAbsent) {
		return nil
	}
	return err
}
