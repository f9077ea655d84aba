package cache

import (
	"context"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/pinfs/pinfs/manifest"
)

// Warm brings all of obj onto the disk and verifies it, if there is a checksum
// to verify it with. KindLimit: it does not fit. Other errors as for ReadAt.
func (c *Cache) Warm(ctx context.Context, obj manifest.Object) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	tg, err := c.target(ctx, obj)
	if err != nil || tg.size == 0 {
		return err
	}
	puts := c.puts.of(tg.key)
	if tg.small() && c.smallHit(tg.key, nil, 0) {
		return nil
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	o.missed(puts)
	if err := c.passGate(ctx, o); err != nil {
		return err
	}
	if err := c.fillAll(ctx, o); err != nil {
		return err
	}
	if tg.small() {
		return nil
	}
	return c.verify(ctx, o, false)
}

// fillAll fetches what is missing, some parts at a time, and waits for each to
// be on disk.
func (c *Cache) fillAll(ctx context.Context, o *object) error {
	var under []*part // not referenced: only how they end matters
	for at := int64(0); at < o.size || len(under) > 0; {
		for at < o.size && len(under) < c.o.Parallel {
			p, err := c.fillNext(o, &at)
			if err == errHere {
				return nil
			}
			if err != nil {
				return err
			}
			if p != nil {
				under = append(under, p)
			}
		}
		if len(under) == 0 {
			break
		}
		p := under[0]
		if err := c.ended(ctx, o, p); err != nil || o.small() && p.stored {
			return err
		}
		under = under[1:]
	}
	return c.fits(o)
}

// fillNext starts the fetch of the first missing range from at on, and moves at
// behind it; nil when nothing is missing.
func (c *Cache) fillNext(o *object, at *int64) (*part, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	disk := !o.volatile && !c.health.bypassed()
	for *at < o.size {
		b := *at / BlockSize
		p := o.find(b)
		if _, ok := o.onDisk(b, disk); ok && p == nil {
			*at = (b + 1) * BlockSize
			continue
		}
		if p == nil {
			var err error
			if p, err = c.demand(o, nil, b, min(*at+c.maxPart, o.size), disk); err != nil {
				return nil, err
			}
		}
		*at = (p.end() + BlockSize - 1) / BlockSize * BlockSize
		return p, nil
	}
	return nil, nil
}

func (c *Cache) ended(ctx context.Context, o *object, p *part) error {
	if o.small() {
		c.writer.waiting.Add(1)
		defer c.writer.waiting.Add(-1)
	}
	if err := waitProgress(ctx, o.Object, p.settled, c.o.StallTimeout, c.n.arrived.Load); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := barePiece(p.err)
	return err
}

func (c *Cache) fits(o *object) error {
	o.mu.Lock()
	all := o.stored == o.size
	o.mu.Unlock()
	if all || o.small() && c.smallHit(o.key, nil, 0) {
		return nil
	}
	if err := c.failures.last(o.key); err != nil {
		return err // dropped since: it failed the check
	}
	return &manifest.Error{Kind: manifest.KindLimit, Op: "warm", Ref: o.Ref, Msg: "no room for it in the cache",
		Hint: "raise the size of the cache, or keep less in it"}
}

// Keep warms obj and exempts it from eviction, or ends that exemption.
func (c *Cache) Keep(ctx context.Context, obj manifest.Object, keep bool) error {
	if keep {
		if err := c.Warm(ctx, obj); err != nil {
			return err
		}
	}
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	tg, err := c.target(ctx, obj)
	if err != nil || tg.size == 0 {
		return err
	}
	put, drop := uint8(flagKept), uint8(0)
	if !keep {
		put, drop = drop, put
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	if tg.small() {
		return c.change(ctx, tg, func(txn *badger.Txn) error { return setUse(txn, tg.key, put, drop) })
	}
	o.mu.Lock()
	o.flags = o.flags&^drop | put
	o.used = time.Now().UnixMilli() // back into the order of use, as the newest
	c.writer.dirty(o)
	o.mu.Unlock()
	return c.change(ctx, tg, func(*badger.Txn) error { return nil }) // wait for it
}

// change has the writer apply a change, and waits for it.
func (c *Cache) change(ctx context.Context, tg target, apply func(txn *badger.Txn) error) error {
	done := make(chan error, 1)
	c.writer.add(writeOp{urgent: true, apply: apply, done: func(err error) { done <- err }})
	select {
	case err := <-done:
		if err != nil {
			return &manifest.Error{Kind: manifest.KindOther, Op: "write cache", Ref: tg.Ref, Err: err}
		}
		return nil
	case <-ctx.Done():
		return waitError(ctx, tg.Object)
	}
}

// Drop removes what is here of obj, and its remembered error. A fetch under way
// goes on for who waits.
func (c *Cache) Drop(ctx context.Context, obj manifest.Object) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if tg.size < 0 {
		size, ok := c.keptSize(tg.key)
		if !ok {
			return nil // never read
		}
		tg.size = size
	}
	c.failures.forget(tg.key)
	if err := tg.checkPieces(); err != nil || tg.size == 0 {
		return err
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	if tg.small() {
		return c.dropSmall(ctx, tg)
	}
	o.mu.Lock()
	o.reset(0)
	c.writer.dirty(o)
	o.mu.Unlock()
	return c.change(ctx, tg, func(*badger.Txn) error { return nil })
}

func (c *Cache) dropSmall(ctx context.Context, tg target) error {
	var was record
	var added int64
	err := c.change(ctx, tg, func(txn *badger.Txn) (err error) {
		if was, added, err = oldRecord(txn, tg.key); err != nil {
			return err
		}
		return errors.Join(deleteRecord(txn, tg.key, was), txn.Delete(contentKey(tg.key)))
	})
	if err == nil && added == 0 {
		c.quota.committed(was.tally().negative(), 0)
	}
	return err
}
