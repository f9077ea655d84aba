package cache

import (
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// smallHit reads a small object from the index.
func (c *Cache) smallHit(k key, p []byte, off int64) bool {
	x := c.readable()
	if x == nil {
		return false
	}
	hit := false
	err := x.get(contentKey(k), func(v []byte) {
		if off+int64(len(p)) <= int64(len(v)) {
			copy(p, v[off:])
			hit = true
		}
	})
	if err != nil && !errors.Is(err, errAbsent) {
		c.noteIndex(err)
	}
	if hit && c.recent.first(k) {
		c.writer.use(k)
	}
	return hit
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
	// The buffer is a reader's too: badger gets its own copy, with the seal.
	value := append(make([]byte, 0, s.p.n+4), s.p.buf[:s.p.n]...)
	if err := set(txn, k, value); err != nil {
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
