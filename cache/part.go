package cache

import (
	"context"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// part is one range of an object that is being fetched, or was fetched and is
// not on disk (yet). Readers take what has arrived straight from its buffer.
type part struct {
	off, n int64 // aligned to blocks; the last one of an object ends with it
	ahead  bool  // nobody asked for it yet
	// awaited: a reader is expected to come for all of it.
	awaited bool
	// loaded: its bytes are on disk too; it is only nearer to its reader.
	loaded atomic.Bool
	whole  bool // served only when all is there and checked
	check  bool // compare blocks with the CRCs that a pass learned
	refs   atomic.Int32
	ready  atomic.Int64 // bytes that may be served
	// arrived counts every byte, served or not: what a wait sees as progress.
	arrived atomic.Int64
	taken   atomic.Int64 // bytes that readers got, each time counted
	buf     []byte       // set before ready is
	crc     []uint32
	proof   *prover // hashes it while it arrives; the fetch's own
	good    int64   // of a pieced object: bytes whose pieces are right; the fetch's own
	keep    bool
	// stored: it is in the index; set before settled closes.
	stored bool
	// verified: the whole matched its checksum; set by the fetch.
	verified bool
	since    time.Time // when it lingers: since when; guarded by lingering.mu

	// settled closes when the part failed, is on disk, or is known not to get there.
	settled chan struct{}

	mu      sync.Mutex
	done    bool
	err     error
	waiters []waiter
}

type waiter struct {
	need int64
	ch   chan struct{}
}

func newPart(off, n int64, whole, keep bool) *part {
	p := &part{off: off, n: n, whole: whole, keep: keep, settled: make(chan struct{})}
	p.refs.Store(1)
	return p
}

// consumed tells whether readers got as many bytes as p has.
func (p *part) consumed() bool { return p.taken.Load() >= p.n }

func (p *part) end() int64 { return p.off + p.n }

// publish lets readers have the first n bytes.
func (p *part) publish(n int64) {
	p.ready.Store(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(func(w waiter) bool { return w.need <= n })
}

// finish ends all waits; nil means that every byte was published.
func (p *part) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.err = true, err
	p.wake(func(waiter) bool { return true })
}

func (p *part) wake(which func(waiter) bool) {
	rest := p.waiters[:0]
	for _, w := range p.waiters {
		if which(w) {
			close(w.ch)
		} else {
			rest = append(rest, w)
		}
	}
	p.waiters = rest
}

// subscribe gives a channel that closes when need bytes are ready or the part
// is done; nil when that is so now.
func (p *part) subscribe(need int64) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready.Load() >= need {
		return nil, nil
	}
	if p.done {
		return nil, p.err
	}
	ch := make(chan struct{})
	p.waiters = append(p.waiters, waiter{need, ch})
	return ch, nil
}

// wait waits until need bytes are ready. It ends with ctx, with the fetch's
// error, or when nothing moved for stall: neither this part nor, while it
// queues, any other.
func (p *part) wait(ctx context.Context, obj manifest.Object, need int64, stall time.Duration, others *atomic.Int64) error {
	if p.ready.Load() >= need {
		return nil
	}
	ch, err := p.subscribe(need)
	if ch == nil {
		return err
	}
	progress := func() int64 {
		if n := p.arrived.Load(); n > 0 {
			return n
		}
		return -others.Load()
	}
	if err := waitProgress(ctx, obj, ch, stall, progress); err != nil {
		return err
	}
	_, err = p.subscribe(need)
	return err
}

// waitProgress waits for ch as long as progress gives another value at least
// every stall.
func waitProgress(ctx context.Context, obj manifest.Object, ch <-chan struct{}, stall time.Duration, progress func() int64) error {
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for last := progress(); ; {
		select {
		case <-ch:
			return nil
		case <-ctx.Done():
			return waitError(ctx, obj)
		case <-timer.C:
		}
		now := progress()
		if now == last {
			return stallError(obj, stall)
		}
		last = now
		timer.Reset(stall)
	}
}

// copyTo copies what lies at off of the object; the bytes are ready.
func (p *part) copyTo(b []byte, off int64) { copy(b, p.buf[off-p.off:]) }

// block gives the bytes of block i of the part.
func (p *part) block(i int64) []byte {
	return p.buf[i*BlockSize : min((i+1)*BlockSize, p.n)]
}

// sum computes the CRCs of the blocks that became complete with n bytes, and
// gives up to where they are.
func (p *part) sum(n int64) int64 {
	for i := int64(len(p.crc)); ; i++ {
		end := min((i+1)*BlockSize, p.n)
		if i*BlockSize >= p.n || end > n {
			return min(i*BlockSize, p.n)
		}
		p.crc = append(p.crc, crc32.Checksum(p.block(i), castagnoli()))
	}
}
