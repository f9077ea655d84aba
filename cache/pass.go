package cache

import (
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// pass fetches and verifies a gated object as a whole, in order, and learns the
// CRC of every block. What there is room for is written on the way; it counts
// as here only when the whole was verified.
type pass struct {
	c        *Cache
	o        *object
	gen      uint64
	done     chan struct{}
	err      error // set before done closes
	progress atomic.Int64

	chunks   map[int64]*chunk
	reserved int64
	keep     bool
}

const passBuffer = 1 << 20

// startPass begins the pass of o; o.mu is held.
func (c *Cache) startPass(o *object) *pass {
	ps := &pass{c: c, o: o, done: make(chan struct{}), chunks: map[int64]*chunk{}, keep: !o.volatile && !c.health.bypassed()}
	o.reset(o.flags & (flagKept | flagDistrusted))
	o.parts = nil // who waits for one keeps it; nobody else gets what is not verified
	ps.gen = o.gen
	o.pass = ps
	c.table.hold(o)
	c.wg.Go(ps.run)
	return ps
}

// wait waits for the pass as long as it moves.
func (ps *pass) wait(ctx context.Context, obj manifest.Object, stall time.Duration) error {
	progress := func() int64 {
		if n := ps.progress.Load(); n > 0 {
			return n
		}
		return -ps.c.n.arrived.Load()
	}
	if err := waitProgress(ctx, obj, ps.done, stall, progress); err != nil {
		return err
	}
	return ps.err
}

func (ps *pass) run() {
	defer ps.c.table.release(ps.o)
	defer close(ps.done)
	err := ps.fetch()
	if err != nil {
		ps.err = err
		ps.c.noteFailure(ps.o.target, err)
		if k := manifest.KindOf(err); k == manifest.KindCorrupt || k == manifest.KindChanged {
			ps.c.n.mismatches.Add(1)
		}
	} else {
		ps.c.failures.forget(ps.o.key)
	}
	if ps.settle(err == nil) && ps.c.o.OnMismatch != nil {
		ps.c.o.OnMismatch(ps.c.ctx, ps.o.Object, err)
	}
}

// settle takes over what the pass learned, or gives its room back. wrong is true
// when the content turned out to be wrong and some of it may have been served
// before the pass.
func (ps *pass) settle(ok bool) (wrong bool) {
	o := ps.o
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pass = nil
	if !ok || o.gen != ps.gen {
		ps.c.quota.release(ps.reserved)
		if o.gen == ps.gen {
			flags := o.flags & (flagKept | flagDistrusted)
			if manifest.KindOf(ps.err) == manifest.KindCorrupt {
				wrong = !o.gated()
				flags |= flagDistrusted
			}
			o.reset(flags)
		}
		return wrong
	}
	o.chunks, o.learnedAll = ps.chunks, true
	for n, ch := range ps.chunks {
		o.dirty[n] = struct{}{}
		for i := range int64(len(ch.crc)) {
			if ch.has(i) {
				o.stored += blockLen(o.size, n*chunkBlocks+i)
			}
		}
	}
	o.flags = o.flags&flagKept | flagVerified
	o.used = time.Now().UnixMilli()
	o.reserved += ps.reserved
	ps.c.writer.dirty(o)
	ps.c.completed(o)
	return false
}

func (ps *pass) fetch() error {
	c := ps.c
	if err := c.requests.Acquire(c.ctx, 1); err != nil {
		return errClosed
	}
	defer c.requests.Release(1)
	buf, err := c.budget.get(c.ctx, passBuffer)
	if err != nil {
		return errClosed
	}
	defer c.budget.put(buf)
	c.n.requests.Add(1)
	c.n.inFlight.Add(1)
	defer c.n.inFlight.Add(-1)
	w := c.watch()
	defer w.stop()
	return w.error(ps.o.Object, ps.receive(w, buf))
}

func (ps *pass) receive(w *watch, buf []byte) error {
	c, o := ps.c, ps.o
	body, d, err := c.o.Source.Open(w.ctx, o.Object, 0, o.size)
	if err != nil {
		return err
	}
	defer body.Close()
	w.moved()
	if err := c.described(o, d); err != nil {
		return err
	}
	want, err := c.wholeSum(w.ctx, o)
	if err != nil {
		return err
	}
	if want.Alg == "" { // can't be: what is gated has a checksum, or had one
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: o.Ref, Msg: "failed its check, and the source offers no checksum any more"}
	}
	h := want.Alg.New()
	if err := ps.stream(w, body, h, buf); err != nil {
		return err
	}
	return o.CheckSum(op, want, h.Sum(nil))
}

// stream reads the body to its end, a buffer at a time.
func (ps *pass) stream(w *watch, body io.Reader, h hash.Hash, buf []byte) error {
	for off := int64(0); off < ps.o.size; {
		n, err := ps.fill(w, body, buf[:min(passBuffer, ps.o.size-off)])
		if errors.Is(err, io.EOF) {
			return shortError(ps.o.Object, ps.o.size, off+int64(n))
		}
		if err != nil {
			return err
		}
		h.Write(buf[:n])
		ps.take(off, buf[:n])
		off += int64(n)
	}
	return ps.c.atEnd(ps.o.Object, ps.o.size, body)
}

func (ps *pass) fill(w *watch, body io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = body.Read(buf[n:])
		n += m
		if m > 0 {
			w.moved()
			ps.progress.Add(int64(m))
			ps.c.n.arrived.Add(int64(m))
		}
	}
	if n == len(buf) {
		err = nil
	}
	return n, err
}

// take notes the CRCs of the blocks in b, and writes them if there is room.
func (ps *pass) take(off int64, b []byte) {
	stored := ps.keep && ps.store(off, b)
	for i := 0; i < len(b); i += BlockSize {
		block := (off + int64(i)) / BlockSize
		ch := ps.chunk(block / chunkBlocks)
		j := block % chunkBlocks
		ch.crc[j] = crc32.Checksum(b[i:min(i+BlockSize, len(b))], castagnoli())
		if stored {
			ch.set(j)
		}
	}
}

func (ps *pass) chunk(n int64) *chunk {
	ch := ps.chunks[n]
	if ch == nil {
		ch = newChunk(min(ps.o.blocks()-n*chunkBlocks, chunkBlocks))
		ch.learned = true
		ps.chunks[n] = ch
	}
	return ch
}

// store writes b; from the first failure on the pass only learns.
func (ps *pass) store(off int64, b []byte) bool {
	c, o := ps.c, ps.o
	if !c.quota.reserve(c.ctx, int64(len(b)), c.mayEvict(o)) {
		ps.keep = false
		return false
	}
	o.mu.Lock()
	f, err := o.handle(true)
	o.mu.Unlock()
	if err == nil {
		_, err = f.WriteAt(b, off)
	}
	if err != nil {
		c.noteDisk(err)
		c.quota.release(int64(len(b)))
		ps.keep = false
		return false
	}
	ps.reserved += int64(len(b))
	return true
}
