package cache

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/pinfs/pinfs/manifest"
)

// Cache keeps the bytes of objects on this host. All methods may be called from
// many goroutines at once.
type Cache struct {
	o       Options
	fs      FS
	dir     *directory
	index   *index // nil: the disk was full at the start
	maxPart int64

	ctx    context.Context // of all fetches
	cancel context.CancelFunc
	wg     sync.WaitGroup
	life   sync.RWMutex // read-held by each call, taken by Close
	closed bool         // guarded by life

	table    *table
	writer   *writer
	quota    *quota
	budget   *budget
	linger   *lingering
	health   *health
	lending  *lending
	failures failures
	recent   recent
	puts     putCounts
	latency  latency // of small objects
	pace     pace    // of the others
	fetchers *fetchers
	asking   singleflight.Group
	requests *semaphore.Weighted
	writes   *writes
	scratch  *scratch
	noDirect atomic.Bool // the file system of the cache has no O_DIRECT
	strict   *semaphore.Weighted
	asks     *semaphore.Weighted
	tellers  tellers
	toVerify chan *object
	toMend   chan *object
	blocks   sync.Pool // of *[BlockSize]byte
	n        counters
}

const (
	strictMax = 16 // objects of up to 1 MiB being verified in memory at once
	verifyMax = 64
)

// Open opens the cache in o.Dir, which it creates. It reads nothing but the
// index's own state, whatever the cache holds; an index that can't be used is
// replaced by an empty one. Errors: KindBusy when another process holds Dir,
// KindInvalid when Dir holds other things, KindDenied.
func Open(o Options) (*Cache, error) {
	if o.Source == nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "open cache", Msg: "no source given"}
	}
	o = o.withDefaults()
	dir, err := openDirectory(o.Dir, o.Lock)
	if err != nil {
		return nil, err
	}
	c := newCache(o, dir)
	if err := c.openStores(); err != nil {
		return nil, errors.Join(err, dir.close())
	}
	c.background()
	return c, nil
}

func newCache(o Options, dir *directory) *Cache {
	c := &Cache{o: o, fs: o.FS, dir: dir, maxPart: o.maxPart(),
		requests: semaphore.NewWeighted(int64(o.Requests)), strict: semaphore.NewWeighted(strictMax), asks: semaphore.NewWeighted(asksMax),
		toVerify: make(chan *object, verifyMax), toMend: make(chan *object, mendQueue), budget: newBudget(o.MemoryBytes), health: &health{log: o.Logger},
		recent: recent{grain: o.UseGrain}, fetchers: newFetchers()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.blocks.New = func() any { return new([BlockSize]byte) }
	c.table, c.writer = newTable(c), newWriter(c)
	c.linger, c.lending = newLingering(c), newLending()
	c.writes, c.scratch = &writes{c: c}, newScratch()
	c.budget.reclaim = func(n int64) { c.reclaim(n, true) }
	return c
}

func (c *Cache) openStores() error {
	free, total, err := c.fs.Free(c.dir.path)
	if err != nil {
		return dirError(c.dir.path, err)
	}
	floor := c.o.minFree(total)
	c.quota = &quota{limit: c.o.Size, floor: floor, kick: c.writer.kick, round: make(chan struct{}),
		free: func() (int64, error) { n, _, err := c.fs.Free(c.dir.path); return n, err }}
	if free < min(floor/2, reserveBytes) {
		c.o.Logger.Error("cache disk is full, reading through to the source", "dir", c.dir.path, "free", free)
		c.health.until.Store(math.MaxInt64)
		return nil
	}
	if err := c.fs.MkdirAll(c.dir.join(objectsName), 0o700); err != nil {
		return dirError(c.dir.path, err)
	}
	if c.index, err = c.dir.openIndex(c.o.Size, c.o.Logger); err != nil {
		return dirError(c.dir.path, err)
	}
	c.startCounts()
	return nil
}

func (c *Cache) background() {
	go c.writer.run()
	c.wg.Go(c.verifier)
	c.wg.Go(c.lender)
	c.wg.Go(c.mender)
	c.wg.Go(c.janitor)
	c.wg.Go(c.removeTrash)
}

func (c *Cache) enter() error {
	c.life.RLock()
	if c.closed {
		c.life.RUnlock()
		return errClosed
	}
	return nil
}

func (c *Cache) leave() { c.life.RUnlock() }

// Lock gives the lock of the directory, which is held as long as somebody has the file
// open: see Options.Lock. It stays the cache's.
func (c *Cache) Lock() *os.File { return c.dir.lock }

// Close ends all fetches and waits, writes what is queued, and gives the
// directory free, all within Options.CloseTimeout. Calls under way end with
// KindCanceled; so do later ones.
func (c *Cache) Close() error {
	c.cancel()
	c.life.Lock()
	defer c.life.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), c.o.CloseTimeout)
	defer cancel()
	err := c.stopFetches(ctx)
	c.linger.expire(0)
	err = errors.Join(err, c.writer.stop(ctx))
	c.table.close()
	if c.index != nil {
		clean := err == nil
		err = errors.Join(err, c.index.close(ctx, func() error { return c.endCounts(clean) }))
	}
	c.budget.close()
	c.scratch.close()
	if err == nil {
		c.settled()
	}
	if err = errors.Join(err, c.dir.close()); err != nil {
		return &manifest.Error{Kind: manifest.KindOther, Op: "close cache", Ref: c.dir.path, Err: err}
	}
	return nil
}

// stopFetches waits for what runs; a source that ignores its context is left
// behind at the deadline.
func (c *Cache) stopFetches(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return errors.New("a fetch does not end")
	}
	for {
		select {
		case o := <-c.toVerify:
			c.table.release(o)
		case o := <-c.toMend:
			c.table.release(o)
		default:
			return nil
		}
	}
}
