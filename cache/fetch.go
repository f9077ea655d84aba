package cache

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// start begins the fetch of p into o; o.mu is held. buf is p's buffer when
// read-ahead got it already, together with a request slot.
func (c *Cache) start(o *object, p *part, buf []byte) {
	o.parts = append(o.parts, p)
	c.table.hold(o)
	c.n.busy.Add(1)
	c.fetchSoon(fetchJob{o, p, buf})
}

// startAhead begins a fetch for a reader who is expected, if a request and memory
// are to spare for it.
func (c *Cache) startAhead(o *object, off, n int64, disk bool) bool {
	return c.startSpare(o, off, n, disk, true) != nil
}

// startSpare begins a fetch that nobody waits for, with a request and memory that are
// to spare; nil when they are not. o.mu is held.
func (c *Cache) startSpare(o *object, off, n int64, disk, awaited bool) *part {
	if c.n.aheadNow.Add(1) > int64(c.o.Requests)*3/4 || !c.requests.TryAcquire(1) {
		c.n.aheadNow.Add(-1)
		return nil
	}
	buf, ok := c.budget.try(n)
	if !ok {
		c.requests.Release(1)
		c.n.aheadNow.Add(-1)
		return nil
	}
	p := newPart(off, n, o.whole(), disk)
	p.ahead, p.awaited, p.check = true, awaited, o.has(flagVerified) && !o.whole() && !o.pieced()
	c.start(o, p, buf)
	return p
}

// fetch runs one part from its request to its place on disk.
func (c *Cache) fetch(o *object, p *part, buf []byte) {
	defer c.table.release(o)
	defer c.n.busy.Add(-1)
	err := c.request(o, p, buf)
	if err == nil {
		err = c.checkPart(o, p)
	}
	if err != nil {
		c.fail(o, p, err)
		return
	}
	c.fetched(o, p)
	p.publish(p.n)
	p.finish(nil)
	c.keep(o, p)
}

// fetched ends the remembered error of what p brought.
func (c *Cache) fetched(o *object, p *part) {
	if !o.pieced() {
		c.failures.forget(o.key)
		return
	}
	c.failures.forgetPieces(o.key, o.piece(p.off), o.piece(p.end()-1))
}

// fail ends p with err for all who wait, and for who asks soon again.
func (c *Cache) fail(o *object, p *part, err error) {
	c.noteFailure(o.target, err)
	o.mu.Lock()
	o.remove(p)
	o.mu.Unlock()
	p.finish(err)
	close(p.settled)
	c.unref(p)
}

func (c *Cache) noteFailure(tg target, err error) {
	c.n.failed.Add(1)
	if c.ctx.Err() != nil {
		return // closing; it says nothing of the object
	}
	if c.failures.note(tg.key, err, c.o.RetryAfter) {
		c.o.Logger.Warn("object can't be read", "ref", tg.Ref, "error", err)
	}
}

// unref gives up one use of p; the last one frees its buffer.
func (c *Cache) unref(p *part) {
	if p.refs.Add(-1) == 0 && p.buf != nil {
		c.budget.put(p.buf)
		p.buf = nil
	}
}

// request gets p's bytes. A demand waits for a slot first and for memory then:
// who holds memory has its slot, so that the wait ends.
func (c *Cache) request(o *object, p *part, buf []byte) (err error) {
	if !p.ahead {
		if err := c.requests.Acquire(c.ctx, 1); err != nil {
			return errClosed
		}
	}
	defer c.requests.Release(1)
	if p.ahead {
		defer c.n.aheadNow.Add(-1)
	} else if buf, err = c.budget.get(c.ctx, p.room(o)); err != nil {
		return err
	}
	p.buf = buf
	c.n.requests.Add(1)
	c.n.inFlight.Add(1)
	defer c.n.inFlight.Add(-1)
	w := c.watch()
	defer w.stop()
	began := time.Now()
	if err = c.receiveAll(w, o, p); err == nil && o.small() {
		c.latency.note(time.Since(began))
	}
	return w.error(o.Object, err)
}

// hotStep is the most that is read of a body at once: it is hashed before it leaves
// the processor's cache.
const hotStep = 256 << 10

// receive opens the range of p from from on, and fills the buffer.
func (c *Cache) receive(w *watch, o *object, p *part, from int64) error {
	began := time.Now()
	body, d, err := c.o.Source.Open(w.ctx, o.Object, p.off+from, p.n-from)
	if err != nil {
		return err
	}
	defer body.Close()
	w.moved()
	opened := time.Now()
	if err := c.described(o, d); err != nil {
		return err
	}
	c.prove(o, p)
	for n := from; n < p.n; {
		m, err := body.Read(p.buf[n:min(p.n, n+hotStep)])
		n += int64(m)
		if m > 0 {
			w.moved()
			p.arrived.Add(int64(m))
			c.n.arrived.Add(int64(m))
			if err := c.arrived(o, p, n); err != nil {
				return err
			}
		}
		switch {
		case err == nil || n == p.n:
		case errors.Is(err, io.EOF):
			return shortError(o.Object, p.n-from, n-from)
		default:
			return err
		}
	}
	if !o.small() {
		c.pace.note(p.n-from, opened.Sub(began), time.Since(opened))
	}
	return c.atEnd(o.Object, p.n-from, body)
}

// atEnd makes sure that nothing follows. Reading to the end also lets an HTTP
// client use the connection again.
func (c *Cache) atEnd(obj manifest.Object, want int64, body io.Reader) error {
	var one [1]byte
	for range 16 {
		n, err := body.Read(one[:])
		if n > 0 {
			return longError(obj, want)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// described checks what a response says of the whole object.
func (c *Cache) described(o *object, d Described) error {
	if d.Size >= 0 && d.Size != o.size {
		obj := o.Object
		obj.Size = o.size
		return sizeError(obj, d.Size)
	}
	if len(d.Sums) > 0 {
		o.mu.Lock()
		o.sums = merge(o.sums, d.Sums)
		o.mu.Unlock()
	}
	return nil
}

// arrived computes the CRCs of blocks that are complete now, checks them if
// they are known, or the pieces that they end, and lets readers have them.
func (c *Cache) arrived(o *object, p *part, n int64) error {
	from := int64(len(p.crc))
	ready := p.sum(n)
	if p.proof != nil {
		p.proof.upTo(p.buf, n)
	}
	if o.pieced() {
		var err error
		if ready, err = c.goodPieces(o, p, n); err != nil {
			return err
		}
	}
	if p.check {
		for i := from; i < int64(len(p.crc)); i++ {
			if err := c.checkLearned(o, p, i); err != nil {
				return err
			}
		}
	}
	if !p.whole && ready > p.ready.Load() {
		p.publish(ready)
	}
	return nil
}

// watch is the deadline of one request: it ends when nothing moved for the
// stall timeout.
//
// Moves are counted and the timer looks at the count, so that what comes in small
// pieces costs no timer each; it ends after twice that time at most.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	moves  atomic.Int64

	mu    sync.Mutex // guards the timer against its own end
	timer *time.Timer
	seen  int64 // moves at the last look; the timer's own
}

func (c *Cache) watch() *watch {
	ctx, cancel := context.WithCancelCause(c.ctx)
	w := &watch{ctx: ctx, cancel: cancel, stall: c.o.StallTimeout}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.stall, w.look)
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.moves.Load()
	if now == w.seen {
		w.cancel(errStall)
		return
	}
	w.seen = now
	if w.ctx.Err() == nil {
		w.timer.Reset(w.stall)
	}
}

func (w *watch) moved() { w.moves.Add(1) }

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.cancel(nil)
}

// error gives the error of the request that w watched.
func (w *watch) error(obj manifest.Object, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(w.ctx), errStall):
		return stallError(obj, w.stall)
	}
	return sourceError(obj, err)
}
