package cache

import (
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// flush writes an object as it is when its turn comes.
type flush struct {
	o        *object
	taken    bool
	dirty    map[int64]struct{}
	record   record
	released int64
	objects  int64
	was      record
	wasUsed  int64
	gen      uint64
}

func (f *flush) take() {
	o := f.o
	o.queued = false
	f.taken, f.dirty, o.dirty = true, o.dirty, map[int64]struct{}{}
	f.released, o.reserved = o.reserved, 0
	f.wasUsed = o.usedPersisted
	if o.used == 0 { // warmed, not read
		o.used = time.Now().UnixMilli()
	}
	o.usedPersisted = max(o.used, o.usedPersisted)
	f.record = record{flags: o.flags, size: o.size, stored: o.stored, used: o.usedPersisted}
	f.gen = o.gen
}

func (f *flush) apply(txn *badger.Txn) error {
	o := f.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if !f.taken {
		f.take()
	}
	for n := range f.dirty {
		if err := setChunk(txn, blocksKey(o.key, n), o.chunks[n]); err != nil {
			return err
		}
	}
	return f.setRecord(txn)
}

func setChunk(txn *badger.Txn, k []byte, ch *chunk) error {
	if ch == nil || ch.count() == 0 && !ch.learned {
		return txn.Delete(k)
	}
	return set(txn, k, ch.encode())
}

// setRecord moves the object to its place in the order of use. What is kept has
// none: eviction never meets it.
func (f *flush) setRecord(txn *badger.Txn) error {
	var err error
	f.was, f.objects, err = oldRecord(txn, f.o.key)
	if err != nil {
		return err
	}
	if f.record.stored > 0 || f.record.flags != 0 {
		return putRecord(txn, f.o.key, f.was, f.record)
	}
	f.objects--
	return deleteRecord(txn, f.o.key, f.was)
}

// oldRecord gives what the index holds of k; added is 1 when that is nothing.
func oldRecord(txn *badger.Txn, k key) (r record, added int64, err error) {
	ok := false
	err = getIn(txn, recordKey(k), func(v []byte) { r, ok = decodeRecord(v) })
	if err != nil && !errors.Is(err, errAbsent) {
		return r, 0, err
	}
	if !ok {
		return record{}, 1, nil
	}
	return r, 0, nil
}

func deleteRecord(txn *badger.Txn, k key, was record) error {
	if err := txn.Delete(useKey(k, was.used)); err != nil {
		return err
	}
	return txn.Delete(recordKey(k))
}

func putRecord(txn *badger.Txn, k key, was, r record) error {
	if was.used != 0 && (was.used != r.used || r.flags&flagKept != 0) {
		if err := txn.Delete(useKey(k, was.used)); err != nil {
			return err
		}
	}
	if r.flags&flagKept == 0 {
		if err := txn.Set(useKey(k, r.used), nil); err != nil {
			return err
		}
	}
	return set(txn, recordKey(k), r.encode())
}

func (f *flush) done(err error) {
	o := f.o
	o.mu.Lock()
	if !f.taken { // never came to its turn
		f.take()
	}
	if err != nil {
		for n := range f.dirty { // the next change writes them again
			o.dirty[n] = struct{}{}
		}
		o.usedPersisted = f.wasUsed
		f.objects, f.record.stored = 0, f.was.stored
	}
	if err == nil && o.gen == f.gen {
		o.fresh = false
	}
	o.mu.Unlock()
	o.c.quota.committed(tally{used: f.record.stored - f.was.stored, objects: f.objects}, f.released)
	f.o.c.table.release(o)
}
