package cache

import (
	"hash/crc32"
	"log/slog"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/pinfs/pinfs/manifest"
)

// BadgerLog is what badger logs to.
func BadgerLog(log *slog.Logger) badger.Logger { return &badgerLog{log: log} }

// PartsAhead is how many parts are fetched ahead of one reader of a source that gave
// the first byte of a range after first, and each MiB of it after mib more.
func PartsAhead(first, mib time.Duration, most int64) int64 {
	var p pace
	p.note(1<<20, first, mib)
	p.note(1<<20, 2*first, 2*mib) // a slower answer says nothing of the link
	return p.parts(most)
}

// Poison writes other bytes into block b of a complete obj, with the CRC32C that
// they have.
func Poison(c *Cache, obj manifest.Object, b int64) error {
	o := c.table.acquire(target{Object: obj, key: obj.Key(), size: obj.Size})
	defer c.table.release(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := o.handle(false)
	if err != nil {
		return err
	}
	wrong := make([]byte, blockLen(o.size, b))
	if _, err := f.WriteAt(wrong, b*BlockSize); err != nil {
		return err
	}
	o.added(b, []uint32{crc32.Checksum(wrong, castagnoli())})
	c.writer.dirty(o)
	return nil
}

// LoseTable removes table n of obj from the index, as rot does.
func LoseTable(c *Cache, obj manifest.Object, n int64) error {
	return c.index.update(func(txn *badger.Txn) error { return txn.Delete(blocksKey(obj.Key(), n)) })
}
