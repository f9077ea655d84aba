package cache

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// smallHit reads a small object from the index.
func (c *Cache) smallHit(k key, p []byte, off int64) bool {
	x := c.readable()
	if x == nil {
		return false
	}
	hit := c.lookSmall(x, k, p, off)
	if hit && c.recent.first(k) {
		c.writer.use(k)
	}
	return hit
}

// smallHere tells whether a small object is in the index; o.mu is held. It does not
// look again when nothing was put there since somebody looked in vain.
func (c *Cache) smallHere(o *object) bool {
	if o.absent != 0 && o.absent == c.puts.of(o.key)+1 {
		return false
	}
	x := c.readable()
	return x != nil && c.lookSmall(x, o.key, nil, 0)
}

// missed notes that o was looked for in vain after putCounts said so.
func (o *object) missed(puts uint64) {
	if !o.small() {
		return
	}
	o.mu.Lock()
	o.absent = puts + 1
	o.mu.Unlock()
}

// putCounts count what was put into the index, by some bits of the key: as long as
// one stands still, what was missing is missing.
type putCounts [1024]atomic.Uint64

func (n *putCounts) at(k key) *atomic.Uint64 {
	return &n[binary.BigEndian.Uint16(k[:])%uint16(len(n))]
}

func (n *putCounts) of(k key) uint64 { return n.at(k).Load() }

func (c *Cache) lookSmall(x *index, k key, p []byte, off int64) (hit bool) {
	err := x.get(contentKey(k), func(v []byte) {
		if off+int64(len(p)) <= int64(len(v)) {
			copy(p, v[off:])
			hit = true
		}
	})
	if err != nil && !errors.Is(err, errAbsent) {
		c.noteIndex(err)
	}
	return hit
}

// sealRoom is what a buffer of a small object has behind its content, so that the
// seal is put there and the index gets it without a copy.
const sealRoom = 4

// room is how large the buffer for p of o is.
func (p *part) room(o *object) int64 {
	if o.small() {
		return p.n + sealRoom
	}
	return p.n
}

// put queues the content of a small object; p is held until it is written.
func (w *writer) put(o *object, p *part) {
	c := w.c
	s := &smallPut{o: o, p: p}
	c.recent.first(o.key)
	w.add(writeOp{apply: s.apply, done: func(err error) {
		more := tally{objects: s.added, used: o.size - s.was.stored, small: o.size - s.was.stored}
		if err != nil {
			more = tally{}
		}
		c.quota.committed(more, p.n)
		c.puts.at(o.key).Add(1)
		p.stored = err == nil
		o.mu.Lock()
		o.remove(p)
		o.mu.Unlock()
		close(p.settled)
		c.unref(p)
		c.table.release(o)
	}})
}

type smallPut struct {
	o     *object
	p     *part
	was   record
	added int64
}

func (s *smallPut) apply(txn *badger.Txn) (err error) {
	if s.was, s.added, err = oldRecord(txn, s.o.key); err != nil {
		return err
	}
	k := contentKey(s.o.key)
	// Readers have the buffer too; none looks behind the content. After the commit
	// badger has no more use for it.
	if err := set(txn, k, s.p.buf[:s.p.n:s.p.n+sealRoom]); err != nil {
		return err
	}
	r := record{size: s.o.size, stored: s.o.size, used: time.Now().UnixMilli(), flags: s.was.flags & flagKept}
	if s.p.verified {
		r.flags |= flagVerified
	}
	return putRecord(txn, s.o.key, s.was, r)
}

// recent remembers which small objects were used in this grain of time, so
// that their last use is written once and not at each read. Bounded: when a set
// is full it starts again, which costs a few writes more.
type recent struct {
	grain time.Duration
	sets  [shardCount]recentSet
}

type recentSet struct {
	mu    sync.Mutex
	since time.Time
	seen  map[key]struct{}
}

const maxRecent = 4096 // per set; 32 bytes each

// first tells whether this is the first use of k in this grain.
func (r *recent) first(k key) bool {
	s := &r.sets[k[0]%shardCount]
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= maxRecent || now.Sub(s.since) >= r.grain {
		s.since = now
		s.seen = make(map[key]struct{}, len(s.seen))
	}
	if _, ok := s.seen[k]; ok {
		return false
	}
	s.seen[k] = struct{}{}
	return true
}
