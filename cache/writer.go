package cache

import (
	"context"
	"errors"
	"sync"
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

	mu      sync.Mutex
	ops     []writeOp
	uses    int
	stopped bool

	evictFrom  []byte    // where in the order of use eviction goes on; the goroutine's own
	evictStart time.Time // when it last began with the oldest
}

// writeOp is one change: apply puts it into a transaction (perhaps twice), done
// is called after the commit, or with its error.
type writeOp struct {
	apply func(txn *badger.Txn) error
	done  func(err error)
}

const (
	batchOps = 256
	maxUses  = 4096
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
	}
	w.mu.Unlock()
	if stopped {
		go op.done(errClosed) // the caller may hold what done locks
		return
	}
	w.kick()
}

func (w *writer) take() (ops []writeOp, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.ops), batchOps)
	ops, w.ops = w.ops[:n:n], w.ops[n:]
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
	w.add(writeOp{apply: func(*badger.Txn) error { return nil }, done: func(err error) {
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
