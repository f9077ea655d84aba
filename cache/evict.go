package cache

import (
	"bytes"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// evictBatch is how many objects one round looks at.
const evictBatch = 128

// evict removes whole objects, oldest use first, until there is room again. It
// runs in the writer, between batches.
func (w *writer) evict() {
	q := w.c.quota
	over := q.over()
	if over <= 0 {
		return
	}
	defer q.evicted()
	for rounds := 0; over > 0 && rounds < 2; over = q.over() {
		victims, end := w.victims(over)
		if len(victims) > 0 {
			w.remove(victims)
		}
		if end {
			rounds++ // the second time around finds what was skipped or came since
		}
	}
}

// rewindAfter is how often eviction looks again at what it skipped.
const rewindAfter = time.Minute

// victims detaches the next objects in the order of use, of n bytes together.
// The place is remembered: from the beginning each time, the removed keys would
// have to be skipped over and over.
func (w *writer) victims(n int64) (victims []victim, end bool) {
	x := w.c.index
	if x == nil {
		return nil, true
	}
	if time.Since(w.evictStart) > rewindAfter {
		w.evictFrom, w.evictStart = nil, time.Now()
	}
	end = true
	seen := 0
	err := x.keys(prefixUse, w.evictFrom, func(k []byte) bool {
		w.evictFrom = bytes.Clone(k)
		if seen++; seen > evictBatch || n <= 0 {
			end = false
			return false
		}
		if v, ok := w.victim(k); ok {
			victims = append(victims, v)
			n -= v.stored
		}
		return true
	})
	w.c.noteIndex(err)
	if end {
		w.evictFrom = nil
	}
	return victims, end
}

type victim struct {
	record
	key key
	use []byte
}

func (w *writer) victim(use []byte) (v victim, ok bool) {
	k, ok := parseUseKey(use)
	if !ok || !w.c.table.detach(k) {
		return v, false
	}
	w.c.lending.revoke(k)
	v = victim{key: k, use: bytes.Clone(use)}
	if v.record, ok, _ = w.c.index.record(k); !ok {
		v.size, v.stored = 0, 0 // a use of nothing: only that key goes
	}
	return v, true
}

// remove deletes files first, index entries second: a crash in between leaves
// entries without a file, which a read finds out.
func (w *writer) remove(victims []victim) {
	defer func() {
		for _, v := range victims {
			w.c.table.attach(v.key)
		}
	}()
	fns := make([]func(*badger.Txn) error, 0, len(victims))
	var freed tally
	for _, v := range victims {
		if v.size > BlockSize {
			w.c.noteDisk(ignoreAbsent(w.c.fs.Remove(w.c.objectPath(v.key))))
		}
		fns = append(fns, v.deletes()...)
		if v.size > 0 {
			freed.add(v.tally())
		}
	}
	if w.c.quota.critical() {
		return // the files are gone, which is room; the index must wait
	}
	if err := w.c.index.update(fns...); err != nil {
		w.c.noteIndex(err)
		return
	}
	w.c.n.evicted.Add(freed.objects)
	w.c.quota.committed(freed.negative(), 0)
}

// deletes gives the changes that remove v from the index, each of which fits a
// transaction.
func (v victim) deletes() []func(*badger.Txn) error {
	keys := [][]byte{v.use, recordKey(v.key), contentKey(v.key)}
	if v.size > BlockSize {
		keys = keys[:2]
		tg := target{size: v.size}
		for n := int64(0); n*chunkBlocks < tg.blocks(); n++ {
			keys = append(keys, blocksKey(v.key, n))
		}
	}
	fns := make([]func(*badger.Txn) error, 0, len(keys))
	for _, k := range keys {
		fns = append(fns, func(txn *badger.Txn) error { return txn.Delete(k) })
	}
	return fns
}
