package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"hash"
	"strconv"

	"github.com/dgraph-io/badger/v4"

	"github.com/pinfs/pinfs/manifest"
)

// LocalCheck is what CheckLocal found of one object.
type LocalCheck struct {
	// Cached is how many bytes of it were said to be here.
	Cached int64
	// Complete tells that all of it was here.
	Complete bool
	// Check names what was compared last: "crc32c" (of each block), or the
	// checksum of the whole ("md5", …), or "chunks". Empty when nothing was here.
	Check string
	// Expected and Found say what differed; Found is empty when all was right.
	Expected, Found string
}

// OK tells that what is here is right.
func (l LocalCheck) OK() bool { return l.Found == "" }

// CheckLocal reads from disk what is here of obj and checks it: the CRC32C of
// each block and, where all of it is here and a checksum of the whole is known,
// that too. It asks no source. What fails is dropped, so that the next read
// fetches it again. Errors: KindCanceled when ctx ends or the cache closes,
// KindOther while the cache's disk can't be used.
func (c *Cache) CheckLocal(ctx context.Context, obj manifest.Object) (LocalCheck, error) {
	if err := c.enter(); err != nil {
		return LocalCheck{}, err
	}
	defer c.leave()
	if c.readable() == nil {
		return LocalCheck{}, &manifest.Error{Kind: manifest.KindOther, Op: "check", Ref: c.dir.path, Msg: "the cache's disk can't be used now", Hint: "see the log"}
	}
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if tg.size < 0 {
		tg.size, _ = c.keptSize(tg.key)
	}
	if err := tg.checkPieces(); err != nil || tg.size == 0 {
		return LocalCheck{}, err // empty, or never read
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	if tg.small() {
		return c.checkSmall(ctx, o)
	}
	return c.checkLarge(ctx, o)
}

// checkSmall checks content in the index.
func (c *Cache) checkSmall(ctx context.Context, o *object) (LocalCheck, error) {
	var r record
	var known, present bool
	var content []byte
	err := c.index.view(func(txn *badger.Txn) error {
		err := getIn(txn, recordKey(o.key), func(v []byte) { r, known = decodeRecord(v) })
		if err = ignoreMissing(err); err != nil {
			return err
		}
		if _, err = txn.Get(contentKey(o.key)); err == nil {
			present = true
			err = getIn(txn, contentKey(o.key), func(v []byte) { content = append(content, v...) })
		}
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = nil
	}
	if !present && !(known && r.stored > 0) {
		return LocalCheck{}, err
	}
	l := LocalCheck{Cached: o.size, Complete: true, Check: string(manifest.SumCRC32C)}
	if err != nil || int64(len(content)) != o.size {
		c.damaged(o, 0, errors.Join(errors.New("content in the index"), err))
		l.Expected, l.Found = strconv.FormatInt(o.size, 10)+" bytes", "damaged content"
		return l, c.dropSmall(ctx, o.target)
	}
	if o.pieced() {
		l.Check = checkChunks
		if err := checkWhole(o.Object, content); err != nil {
			l.differs(err)
			c.n.mismatches.Add(1)
			return l, c.dropSmall(ctx, o.target)
		}
		return l, nil
	}
	if want, ok := o.sumHere(); ok {
		l.Check = string(want.Alg)
		h := want.Alg.New()
		h.Write(content)
		if l.whole(want, h) {
			return l, nil
		}
		c.n.mismatches.Add(1)
		return l, c.dropSmall(ctx, o.target)
	}
	return l, nil
}

// sumHere is the checksum of the whole that is known without asking.
func (o *object) sumHere() (manifest.Sum, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sum()
}

func (l *LocalCheck) whole(want manifest.Sum, h hash.Hash) bool {
	expected, found := hex.EncodeToString(want.Value), hex.EncodeToString(h.Sum(nil))
	if expected != found {
		l.Expected, l.Found = expected, found
	}
	return expected == found
}

// checkLarge checks a content file, block by block.
func (c *Cache) checkLarge(ctx context.Context, o *object) (LocalCheck, error) {
	o.mu.Lock()
	l := LocalCheck{Cached: o.stored, Complete: o.stored == o.size}
	gen := o.gen
	o.mu.Unlock()
	if l.Cached == 0 {
		return l, nil
	}
	l.Check = string(manifest.SumCRC32C)
	if o.pieced() {
		return c.checkPieced(ctx, o, l)
	}
	want, ok := o.sumHere()
	var h hash.Hash
	if ok && l.Complete {
		h = want.Alg.New()
	}
	read, bad, err := c.checkBlocks(ctx, o, h)
	switch {
	case err != nil:
		return l, err
	case bad > 0:
		l.Expected, l.Found = "blocks as they were written", strconv.FormatInt(bad, 10)+" damaged blocks of 64 KiB"
	case h != nil && read == o.size: // else some of it was dropped meanwhile
		l.Check = string(want.Alg)
		if !l.whole(want, h) {
			c.mismatch(ctx, o, gen, o.CheckSum(op, want, h.Sum(nil)))
		}
	}
	return l, nil
}

// checkBlocks reads every block that is on disk, into h too. It gives how many
// bytes were right and how many blocks were damaged.
func (c *Cache) checkBlocks(ctx context.Context, o *object, h hash.Hash) (read, bad int64, err error) {
	buf := c.blocks.Get().(*[BlockSize]byte)
	defer c.blocks.Put(buf)
	for b := int64(0); b < o.blocks(); b++ {
		if ctx.Err() != nil {
			return read, bad, waitError(ctx, o.Object)
		}
		if c.ctx.Err() != nil {
			return read, bad, errClosed
		}
		p := buf[:blockLen(o.size, b)]
		here, err := c.checkBlock(o, b, p)
		switch {
		case errors.Is(err, errDamaged):
			bad++
		case here:
			read += int64(len(p))
			if h != nil {
				h.Write(p)
			}
		}
	}
	return read, bad, nil
}

// checkBlock reads block b from disk if it is there. A file that is gone counts
// as one block.
func (c *Cache) checkBlock(o *object, b int64, p []byte) (here bool, err error) {
	o.mu.Lock()
	if _, here = o.onDisk(b, true); !here {
		o.mu.Unlock()
		return false, nil
	}
	var st step
	err = c.locateStored(o, &st, b*BlockSize, b*BlockSize+int64(len(p)))
	o.mu.Unlock()
	if err == nil && !c.readDisk(o, &st, &st.segs[0], p) {
		err = errDamaged
	}
	return true, err
}
