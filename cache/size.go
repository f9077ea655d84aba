package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/pinfs/pinfs/manifest"
)

// MaxObject is the size of the largest object, 64 TiB. Manifests, and servers that
// they name, may say any size, and the tables of an object grow with it.
const MaxObject = 1 << 46

// sizeLife is how long a size that was asked for is kept; each manifest that
// lacks them can bring millions, and nothing else removes them.
const sizeLife = 180 * 24 * time.Hour

// Size gives the size of obj in bytes: what its manifest says or, for
// manifest.SizeUnknown, what the source says; it is asked once and the answer
// kept. Errors are the source's.
func (c *Cache) Size(ctx context.Context, obj manifest.Object) (int64, error) {
	if obj.Size >= 0 {
		return obj.Size, nil
	}
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	tg, err := c.target(ctx, obj)
	return tg.size, err
}

func (c *Cache) learnSize(ctx context.Context, tg target) (int64, error) {
	if size, ok := c.keptSize(tg.key); ok {
		return size, nil
	}
	if err := c.failures.recall(tg.key, -1); err != nil {
		return 0, err
	}
	answer := c.asking.DoChan(string(tg.key[:]), func() (any, error) { return c.askSize(tg) })
	select {
	case r := <-answer:
		if r.Err != nil {
			return 0, r.Err
		}
		return r.Val.(int64), nil
	case <-ctx.Done():
		return 0, waitError(ctx, tg.Object)
	}
}

func (c *Cache) keptSize(k key) (size int64, ok bool) {
	x := c.readable()
	if x == nil {
		return 0, false
	}
	err := x.get(sizeKey(k), func(v []byte) {
		if ok = len(v) == 8; ok {
			size = int64(binary.BigEndian.Uint64(v))
		}
	})
	if err != nil && !errors.Is(err, errAbsent) {
		c.noteIndex(err)
	}
	return size, ok && size >= 0
}

// askSize asks the source, in the cache's own context with its own deadline.
func (c *Cache) askSize(tg target) (int64, error) {
	if size, ok := c.keptSize(tg.key); ok { // written since the caller looked
		return size, nil
	}
	w := c.watch()
	defer w.stop()
	d, err := c.o.Source.Stat(w.ctx, tg.Object)
	if err == nil && d.Size < 0 {
		err = &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: tg.Ref, Msg: "the source does not tell its size"}
	}
	if err = w.error(tg.Object, err); err != nil {
		c.noteFailure(tg, err)
		return 0, err
	}
	c.failures.forget(tg.key)
	written := make(chan struct{})
	c.writer.size(tg.key, d.Size, written)
	select {
	case <-written:
	case <-w.ctx.Done():
	}
	return d.Size, nil
}

func (w *writer) size(k key, size int64, written chan struct{}) {
	w.add(writeOp{
		urgent: true,
		apply: func(txn *badger.Txn) error {
			at := sizeKey(k)
			value := seal(at, binary.BigEndian.AppendUint64(nil, uint64(size)))
			return txn.SetEntry(badger.NewEntry(at, value).WithTTL(sizeLife))
		},
		done: func(error) { close(written) },
	})
}
