package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// index is badger in managed mode: a read sees the newest value at once and
// never waits for commits under way. There is one writer, so a counter is
// enough of a clock.
type index struct {
	db   *badger.DB
	path string
	ts   uint64 // the writer's
	// opened is ts at the start. Until counted, badger keeps what was then.
	opened  uint64
	counted atomic.Bool
	// reader is for single reads: it sees the newest at any time, and has no state.
	reader *badger.Txn
}

// The sizes keep badger's memory below some 40 MiB. Small memtables also matter
// for the disk: a deleted value is only counted as garbage when the memtable
// with its tombstone is compacted. Value-log files are what garbage is collected
// by, one descriptor each, and the last one is read at the start: neither too
// many nor too large. size is the limit of the content.
func indexOptions(path string, size int64, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(path).
		WithLogger(&badgerLog{log: log}).
		WithMemTableSize(1 << 20).WithNumMemtables(3).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(10).
		WithBaseTableSize(2 << 20).WithBaseLevelSize(16 << 20).
		WithValueThreshold(512).WithValueLogFileSize(min(max(size/64, 16<<20), 128<<20)).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(16 << 20).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true). // of a value whose header is damaged badger keeps a lock, which Close waits for
		WithNumCompactors(2).WithNumGoroutines(2).
		WithSyncWrites(false).WithDetectConflicts(false).WithMetricsEnabled(false)
}

func openIndex(path string, size int64, log *slog.Logger) (x *index, err error) {
	defer recovered(&err)
	db, err := badger.OpenManaged(indexOptions(path, size, log))
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	ts := db.MaxVersion() + 1
	return &index{db: db, path: path, ts: ts, opened: ts, reader: db.NewTransactionAt(math.MaxUint64, false)}, nil
}

// recovered turns a panic of badger into an error: it panics on some damage.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("index: %v", r)
	}
}

// errAbsent is for a key that is not there, or whose value does not fit its seal.
var errAbsent = errors.New("not in the index")

// get calls use with the unsealed value of k, which is only valid inside. The
// value lies in a mapped file: a disk error under it is SIGBUS, which becomes
// an error here instead of the end of the process.
func (x *index) get(k []byte, use func(value []byte)) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return getIn(x.reader, k, use)
}

// view runs fn in a transaction that sees one state.
func (x *index) view(fn func(txn *badger.Txn) error) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	txn := x.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	return fn(txn)
}

func getIn(txn *badger.Txn, k []byte, use func(value []byte)) error {
	item, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return errAbsent
	}
	if err != nil {
		return err
	}
	return item.Value(func(v []byte) error {
		v, ok := unseal(k, v)
		if !ok {
			return errAbsent
		}
		use(v)
		return nil
	})
}

// record gives the record of k; ok is false when there is none.
func (x *index) record(k key) (r record, ok bool, err error) {
	err = x.get(recordKey(k), func(v []byte) { r, ok = decodeRecord(v) })
	if errors.Is(err, errAbsent) {
		err = nil
	}
	return r, ok, err
}

// update runs fn in a transaction, and in another one each time that one is
// full; fn must bear being called again from its start.
func (x *index) update(fns ...func(txn *badger.Txn) error) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	txn := x.db.NewTransactionAt(math.MaxUint64, true)
	defer func() { txn.Discard() }()
	for _, fn := range fns {
		err := fn(txn)
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err := x.commit(txn); err != nil {
				return err
			}
			txn = x.db.NewTransactionAt(math.MaxUint64, true)
			err = fn(txn)
		}
		if err != nil {
			return err
		}
	}
	return x.commit(txn)
}

func (x *index) commit(txn *badger.Txn) error {
	x.ts++
	if err := txn.CommitAt(x.ts, nil); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if x.counted.Load() {
		x.db.SetDiscardTs(x.ts)
	}
	return nil
}

func set(txn *badger.Txn, k, value []byte) error { return txn.Set(k, seal(k, value)) }

// keys calls fn with each key of prefix from from on, in order, until it says
// false. The key is only valid inside.
func (x *index) keys(prefix byte, from []byte, fn func(k []byte) bool) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	txn := x.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
	defer it.Close()
	if from == nil {
		from = []byte{prefix}
	}
	for it.Seek(from); it.Valid(); it.Next() {
		if !fn(it.Item().Key()) {
			return nil
		}
	}
	return nil
}

// records calls fn with each record as it was when the index was opened.
func (x *index) records(fn func(r record) bool) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	txn := x.db.NewTransactionAt(x.opened, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixRecord}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		err := it.Item().Value(func(v []byte) error {
			if v, ok := unseal(it.Item().Key(), v); ok {
				if r, ok := decodeRecord(v); ok && !fn(r) {
					return errAbsent
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// collect lets badger drop value-log files that hold a good part of garbage.
// It says whether there was one.
func (x *index) collect() (done bool, err error) {
	defer recovered(&err)
	switch err := x.db.RunValueLogGC(0.3); {
	case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// diskBytes is what the index occupies: allocated blocks, since badger's files
// have holes.
func (x *index) diskBytes() (total int64) {
	files, err := filepath.Glob(filepath.Join(x.path, "*"))
	if err != nil {
		return 0
	}
	for _, name := range files {
		if fi, err := os.Stat(name); err == nil {
			total += allocated(fi)
		}
	}
	return total
}

// close runs last and ends badger. On a directory that was removed, or a disk
// that fails, badger tries to write its last table for ever: at ctx's end it is
// left to that.
func (x *index) close(ctx context.Context, last func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err)
		err = errors.Join(last(), x.db.Close())
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("the index can't be written to " + x.path)
	}
}
