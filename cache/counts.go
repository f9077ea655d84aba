package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The counts of the index live in memory and are written now and then, and at
// Close; after a crash they are taken as a guess and counted anew, in the
// background.

func metaKey() []byte { return []byte{prefixMeta} }

// openIndex opens the index; one that can't be used is put aside with the
// objects that only it could tell about.
func (d *directory) openIndex(size int64, log *slog.Logger) (*index, error) {
	before, hopeless, err := d.countStart()
	if err != nil {
		return nil, err
	}
	if hopeless {
		err = errors.New("starts with it kept failing")
	} else if err = checkTables(d.join(indexName), before >= fullAfter); err == nil {
		var x *index
		if x, err = openIndex(d.join(indexName), size, log); err == nil {
			return x, d.opened()
		}
	}
	return d.newIndex(size, log, err)
}

func (d *directory) newIndex(size int64, log *slog.Logger, err error) (*index, error) {
	log.Error("cache index can't be used, starting empty", "dir", d.path, "error", err)
	if err := d.empty(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.join(objectsName), 0o700); err != nil {
		return nil, err
	}
	x, err := openIndex(d.join(indexName), size, log)
	if err != nil {
		return nil, err
	}
	return x, d.opened()
}

func (c *Cache) removeTrash() {
	for _, path := range c.dir.trash() {
		c.noteDisk(os.RemoveAll(path))
	}
}

const countsLen = 1 + 3*8

func (t tally) encode(clean byte) []byte {
	b := []byte{clean}
	for _, v := range []int64{t.used, t.small, t.objects} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func decodeCounts(b []byte) (t tally, clean bool) {
	if len(b) != countsLen {
		return t, false
	}
	for i, p := range []*int64{&t.used, &t.small, &t.objects} {
		*p = int64(binary.BigEndian.Uint64(b[1+8*i:]))
	}
	return t, b[0] == 1
}

// startCounts takes over the counts of a clean end, else has them made anew.
func (c *Cache) startCounts() {
	var t tally
	clean := false
	c.noteIndex(c.index.get(metaKey(), func(v []byte) { t, clean = decodeCounts(v) }))
	c.quota.tally = t
	if !clean {
		c.wg.Go(func() { c.recount(t) })
		return
	}
	c.index.counted.Store(true)
	c.noteIndex(c.index.update(func(txn *badger.Txn) error { return setCounts(txn, t, 0) }))
}

func setCounts(txn *badger.Txn, t tally, clean byte) error {
	return set(txn, metaKey(), t.encode(clean))
}

// counts queues the guess for the case of a crash.
func (w *writer) counts() {
	w.add(writeOp{apply: func(txn *badger.Txn) error { return setCounts(txn, w.c.quota.now(), 0) }, done: func(error) {}})
}

// endCounts writes the counts; they are right only if all else was written.
func (c *Cache) endCounts(clean bool) error {
	if !clean || c.quota.critical() || !c.index.counted.Load() {
		return nil
	}
	return c.index.update(func(txn *badger.Txn) error { return setCounts(txn, c.quota.now(), 1) })
}

// recount adds up what was in the index when it was opened, in place of the
// guess; what changed since is in the quota already. Then it removes files
// without an entry.
func (c *Cache) recount(guess tally) {
	var t tally
	err := c.index.records(func(r record) bool {
		t.add(r.tally())
		return c.ctx.Err() == nil
	})
	if err != nil {
		if c.ctx.Err() == nil {
			c.noteIndex(err)
		}
		return
	}
	t.add(guess.negative())
	c.quota.committed(t, 0)
	c.index.counted.Store(true)
	c.sweep()
}

// sweep removes content files that the index does not know: what a crash left
// between the file and its entry.
func (c *Cache) sweep() {
	err := filepath.WalkDir(c.dir.join(objectsName), func(path string, e fs.DirEntry, err error) error {
		if c.ctx.Err() != nil {
			return filepath.SkipAll
		}
		if err != nil || e.IsDir() {
			return nil // what can't be read stays
		}
		if k, ok := parseHexKey(e.Name()); ok {
			c.writer.sweep(k)
			time.Sleep(time.Millisecond) // no hurry: leave the disk to the readers
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.noteDisk(err)
	}
}

// sweep queues the removal of k's file, unless k is in use or in the index.
func (w *writer) sweep(k key) {
	w.add(writeOp{apply: func(*badger.Txn) error { return nil }, done: func(err error) {
		if err != nil || !w.c.table.detach(k) {
			return
		}
		defer w.c.table.attach(k)
		if _, ok, err := w.c.index.record(k); !ok && err == nil {
			w.c.noteDisk(ignoreAbsent(w.c.fs.Remove(w.c.objectPath(k))))
		}
	}})
}

func parseHexKey(name string) (k key, ok bool) {
	n, err := hex.Decode(k[:], []byte(name)[:min(len(name), 2*len(k))])
	return k, err == nil && n == len(k) && len(name) == 2*len(k)
}
