package cache

import (
	"container/list"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// object is what is held in memory of one object while it is used and, for the
// larger ones, a while after.
type object struct {
	target
	c *Cache

	// Guarded by the shard's mu.
	refs  int
	idle  *list.Element
	gone  bool          // the evictor has it: wait for ready, then look again
	ready chan struct{} // closed when loaded, or when the evictor is done

	mu    sync.Mutex
	flags uint8
	fresh bool // nothing of it in the index: chunks not held are empty
	// inherited: some of what is on disk may have been written before o was loaded, so
	// that nobody here has seen it.
	inherited bool
	// volatile: made while the index could not be read, so that nothing of it may
	// be written; it lives in memory only.
	volatile   bool
	learnedAll bool // every chunk is learned
	chunks     map[int64]*chunk
	dirty      map[int64]struct{} // chunks to write
	queued     bool               // in the writer's queue
	// stored is bytes on disk, reserved what the next write to the index releases.
	stored, reserved    int64
	used, usedPersisted int64 // last use, unix ms; persisted 0: never in the index
	parts               []*part
	streams             streams
	proof               proof
	lacks               []span // what was given up because the disk was slow
	wanted              bool   // somebody would borrow it
	mending             bool   // what it lacks is being fetched, or will be
	pass                *pass
	check               *check
	file                File
	stale               []File // replaced ones that a reader may still use
	sums                []manifest.Sum
	worth               bool   // the source is worth to be asked for more of them
	asked               bool   // it was, or need not be
	recorded            string // Checksums of a caller's Object, where the first one had none
	gen                 uint64 // counts how often the content was dropped
	// absent is what putCounts said, plus one, before a small object was looked for
	// in vain; 0 when it was not.
	absent uint64
}

func (o *object) has(flag uint8) bool { return o.flags&flag != 0 }

// gated tells that no byte may be served before a pass verified the whole:
// nothing but the content itself pins it, or it failed once. Pieces are verified
// one by one.
func (o *object) gated() bool {
	return !o.whole() && !o.pieced() && (o.Pin.Kind == manifest.PinMD5 || o.has(flagDistrusted))
}

// load takes over what the index knows.
func (o *object) load() {
	o.fresh = true
	x := o.c.readable()
	if o.volatile = x == nil; x == nil || o.small() {
		return
	}
	r, ok, err := x.record(o.key)
	o.c.noteIndex(err)
	o.volatile = err != nil
	if !ok || r.size != o.size {
		return
	}
	o.fresh, o.inherited = false, true
	o.flags, o.stored = r.flags, r.stored
	o.used, o.usedPersisted = r.used, r.used
	if o.Checksums != "" {
		o.flags &^= flagNoSum // noted when another manifest had none
	}
	o.recount()
}

// eagerTables is how many tables of one object are read with its record: 1 GiB.
const eagerTables = 16

// recount makes stored what the tables say. One that rotted takes its blocks along:
// counted twice when they are fetched again, they would break the limit.
func (o *object) recount() {
	tables := (o.blocks() + chunkBlocks - 1) / chunkBlocks
	if tables > eagerTables {
		return // what is fetched again is counted up to the size, see added
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	stored := int64(0)
	for n := range tables {
		ch := o.loadChunk(n)
		o.chunks[n] = ch
		stored += ch.count() * BlockSize
	}
	if last, i := o.chunkOf(o.blocks() - 1); last.has(i) {
		stored -= BlockSize - blockLen(o.size, o.blocks()-1)
	}
	if stored != o.stored {
		o.stored = stored
		o.c.writer.dirty(o)
	}
}

// adopt takes over the checksums that obj records: two manifests can name the same
// object, one with and one without.
func (o *object) adopt(obj manifest.Object) {
	if obj.Checksums == "" || o.Checksums != "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.recorded == "" {
		o.recorded = obj.Checksums
		o.flags &^= flagNoSum
	}
}

// chunkOf gives the chunk of block b, loading it if need be, and b's place in
// it; o.mu is held.
func (o *object) chunkOf(b int64) (*chunk, int64) {
	n := b / chunkBlocks
	ch := o.chunks[n]
	if ch == nil {
		ch = o.loadChunk(n)
		o.boundChunks()
		o.chunks[n] = ch
	}
	return ch, b % chunkBlocks
}

func (o *object) loadChunk(n int64) *chunk {
	blocks := min(o.blocks()-n*chunkBlocks, chunkBlocks)
	x := o.c.readable()
	if o.fresh || x == nil {
		return newChunk(blocks)
	}
	var ch *chunk
	var ok bool
	k := blocksKey(o.key, n)
	err := x.get(k, func(v []byte) { ch, ok = decodeChunk(v, blocks) })
	if err != nil && !errors.Is(err, errAbsent) {
		o.c.noteIndex(err)
	}
	if !ok {
		return newChunk(blocks)
	}
	return ch
}

// maxChunks bounds the tables held of one object: 1,024 chunks are 64 GiB of
// content and some 4 MiB of memory.
const maxChunks = 1024

func (o *object) boundChunks() {
	if len(o.chunks) < maxChunks || o.fresh || o.c.readable() == nil {
		return
	}
	for n := range o.chunks {
		if _, dirty := o.dirty[n]; !dirty {
			delete(o.chunks, n)
			return
		}
	}
}

// learned gives the CRC that block b must have, if a pass found it out.
func (o *object) learned(b int64) (crc uint32, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch, i := o.chunkOf(b)
	return ch.crc[i], ch.learned
}

func blockLen(size, b int64) int64 { return min(BlockSize, size-b*BlockSize) }

// added notes blocks that are on disk now; o.mu is held.
func (o *object) added(first int64, crcs []uint32) {
	for i, crc := range crcs {
		b := first + int64(i)
		ch, j := o.chunkOf(b)
		if !ch.has(j) {
			ch.set(j)
			o.stored = min(o.stored+blockLen(o.size, b), o.size)
		}
		ch.crc[j] = crc
		o.dirty[b/chunkBlocks] = struct{}{}
	}
}

// lost forgets a block that can't be read or fails its check; o.mu is held.
func (o *object) lost(b int64) {
	if p := o.find(b); p != nil && p.loaded.Load() {
		o.remove(p)
	}
	ch, i := o.chunkOf(b)
	o.proof.drop()
	if ch.has(i) {
		ch.clear(i)
		o.stored = max(o.stored-blockLen(o.size, b), 0)
		o.dirty[b/chunkBlocks] = struct{}{}
	}
}

// reset drops all content: the file is unlinked and written anew. o.mu is held.
func (o *object) reset(flags uint8) {
	o.gen++
	o.flags, o.learnedAll = flags, false
	n := (o.blocks() + chunkBlocks - 1) / chunkBlocks
	o.chunks = map[int64]*chunk{}
	if o.usedPersisted != 0 {
		for i := range n {
			o.dirty[i] = struct{}{}
		}
	}
	o.fresh, o.inherited, o.stored = true, false, 0
	o.proof.drop()
	o.lacks = nil
	o.parts = slices.DeleteFunc(o.parts, func(p *part) bool { return p.loaded.Load() })
	if o.file != nil {
		o.stale, o.file = append(o.stale, o.file), nil
	}
	if !o.small() {
		o.c.noteDisk(ignoreAbsent(o.c.fs.Remove(o.path())))
		o.c.lending.revoke(o.key)
	}
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// handle gives the content file; create makes it if need be. o.mu is held.
func (o *object) handle(create bool) (File, error) {
	if o.file != nil {
		return o.file, nil
	}
	f, err := o.c.openContent(o.path(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) && create {
		f, err = o.create()
	}
	if err != nil {
		return nil, err
	}
	o.file = f
	return f, nil
}

func (o *object) create() (File, error) {
	name := o.path()
	f, err := o.c.openContent(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := o.c.fs.MkdirAll(o.c.dir.join(objectsName, hexKey(o.key)[:2]), 0o700); err != nil {
			return nil, err
		}
		f, err = o.c.openContent(name, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(o.size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (o *object) path() string { return o.c.objectPath(o.key) }

// touch notes a use; the index gets it once per grain. o.mu is held.
func (o *object) touch() {
	o.used = time.Now().UnixMilli()
	if o.used-o.usedPersisted >= o.c.o.UseGrain.Milliseconds() && o.stored > 0 {
		o.c.writer.dirty(o)
	}
}

// find gives the part that holds block b; o.mu is held.
func (o *object) find(b int64) *part {
	for _, p := range o.parts {
		if p.off <= b*BlockSize && b*BlockSize < p.end() {
			return p
		}
	}
	return nil
}

// remove takes p out of the object's parts; o.mu is held.
func (o *object) remove(p *part) {
	for i, q := range o.parts {
		if q == p {
			o.parts = append(o.parts[:i], o.parts[i+1:]...)
			return
		}
	}
}

// closeFiles closes what is open; nobody uses o any more.
func (o *object) closeFiles() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.stale, o.file = append(o.stale, o.file), nil
	}
	o.closeStale()
}

func (o *object) closeStale() {
	for _, f := range o.stale {
		_ = f.Close() // nothing was promised about what it holds
	}
	o.stale = nil
}
