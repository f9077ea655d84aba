package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// writer is the one goroutine that changes the index. It batches what comes in
// and evicts between batches. Its queue is bounded by what is queued: contents
// hold memory of the budget, objects are queued once each, and uses are dropped
// when there are too many.
type writer struct {
	c    *Cache
	wake chan struct{}
	quit chan struct{}
	done chan struct{}

	// waiting counts those who wait for a small object to be written.
	waiting atomic.Int64

	mu      sync.Mutex
	ops     []writeOp
	urgent  bool // one of ops should not wait for others
	uses    int
	stopped bool

	evictFrom  []byte    // where in the order of use eviction goes on; the goroutine's own
	evictStart time.Time // when it last began with the oldest
}

// writeOp is one change: apply puts it into a transaction (perhaps twice), done
// is called after the commit, or with its error.
type writeOp struct {
	apply  func(txn *badger.Txn) error
	done   func(err error)
	urgent bool // somebody waits for just this one
}

const (
	batchOps = 256
	maxUses  = 4096
	// A commit costs as much as several changes, so that it waits for gatherOps of
	// them, or for half of those who wait, but for gatherMax at most.
	gatherOps = 64
	gatherMax = 4 * time.Millisecond
)

func newWriter(c *Cache) *writer {
	return &writer{c: c, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

func (w *writer) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) add(op writeOp) {
	w.mu.Lock()
	stopped := w.stopped
	if !stopped {
		w.ops = append(w.ops, op)
		w.urgent = w.urgent || op.urgent
	}
	wake := len(w.ops) == 1 || w.enough()
	w.mu.Unlock()
	if stopped {
		go op.done(errClosed) // the caller may hold what done locks
		return
	}
	if wake {
		w.kick()
	}
}

// enough tells whether there is enough for a commit; w.mu is held.
func (w *writer) enough() bool {
	want := int64(gatherOps)
	if n := w.waiting.Load(); n > 0 {
		want = min(want, n/2)
	}
	return w.urgent || int64(len(w.ops)) >= want
}

// gather waits until there is enough for a commit, or something else to do.
func (w *writer) gather() {
	end := time.NewTimer(gatherMax)
	defer end.Stop()
	for w.mayGather() {
		select {
		case <-w.wake:
		case <-end.C:
			return
		case <-w.quit:
			return
		}
	}
}

// mayGather tells whether a commit may wait for more; not when memory or room are
// wanted.
func (w *writer) mayGather() bool {
	w.mu.Lock()
	wait := len(w.ops) > 0 && !w.enough()
	w.mu.Unlock()
	return wait && w.c.budget.waiting.Load() == 0 && w.c.quota.over() <= 0
}

func (w *writer) take() (ops []writeOp, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.ops), batchOps)
	ops, w.ops = w.ops[:n:n], w.ops[n:]
	w.urgent = w.urgent && len(w.ops) > 0
	return ops, len(w.ops) > 0
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
		case <-w.quit:
			w.drain()
			return
		}
		w.gather()
		w.drain()
		w.evict()
	}
}

// drain writes all that is queued.
func (w *writer) drain() {
	for more := true; more; {
		var ops []writeOp
		if ops, more = w.take(); len(ops) > 0 {
			w.write(ops)
		}
		if more {
			w.evict()
		}
	}
}

// write commits ops in one transaction, or a few.
func (w *writer) write(ops []writeOp) {
	var err error
	switch {
	case w.c.index == nil:
		err = errors.New("no index")
	case w.c.quota.critical():
		err = errors.New("file system full")
		w.c.n.full.Add(1)
		w.c.keepReserve() // now: badger may be about to write out what it holds
	default:
		if err = w.c.index.update(applies(ops)...); err != nil {
			w.c.noteIndex(err)
		} else {
			w.c.health.good()
		}
	}
	for _, op := range ops {
		op.done(err)
	}
}

func applies(ops []writeOp) []func(*badger.Txn) error {
	fns := make([]func(*badger.Txn) error, len(ops))
	for i, op := range ops {
		fns[i] = op.apply
	}
	return fns
}

// stop writes what is queued and ends the goroutine, or gives up with ctx.
func (w *writer) stop(ctx context.Context) error {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	close(w.quit)
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dirty queues o's tables and record; o.mu is held.
func (w *writer) dirty(o *object) {
	if o.queued || o.volatile || o.small() {
		return
	}
	o.queued = true
	w.c.table.hold(o)
	f := &flush{o: o}
	w.add(writeOp{apply: f.apply, done: f.done})
}

// collect has garbage collected between two batches: badger's collection and
// its writes race for a field. It says whether there was any.
func (w *writer) collect(ctx context.Context) bool {
	found := make(chan bool, 1)
	w.add(writeOp{urgent: true, apply: func(*badger.Txn) error { return nil }, done: func(err error) {
		done := false
		if err == nil {
			done, err = w.c.index.collect()
			w.c.noteIndex(err)
		}
		found <- done
	}})
	select {
	case done := <-found:
		return done
	case <-ctx.Done():
		return false
	}
}

// use queues a coarse last use of a small object.
func (w *writer) use(k key) {
	w.mu.Lock()
	if w.uses >= maxUses || w.stopped {
		w.mu.Unlock()
		return
	}
	w.uses++
	w.mu.Unlock()
	w.add(writeOp{apply: func(txn *badger.Txn) error { return setUse(txn, k, 0, 0) }, done: func(error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.uses--
	}})
}

// setUse notes that k was used now, and changes its flags.
func setUse(txn *badger.Txn, k key, set, clear uint8) error {
	was, added, err := oldRecord(txn, k)
	if err != nil || added == 1 {
		return err
	}
	r := was
	r.used = time.Now().UnixMilli()
	r.flags = r.flags&^clear | set
	return putRecord(txn, k, was, r)
}
