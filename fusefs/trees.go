package fusefs

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// treeCache keeps the snapshots of version slots open, at most limit of them
// besides those in use, so that descriptors and mappings are bounded however
// many versions a walk over a registry touches.
//
// A request takes no lock: it finds its tree in a table that is replaced as a
// whole, and counts itself in and out. mu is for opening and closing.
type treeCache struct {
	open    func(ctx context.Context, s Slot) (*Tree, error)
	timeout time.Duration
	base    context.Context // of the mount: an opening goes on when its first caller dies
	opening sync.WaitGroup

	table   atomic.Pointer[map[uint32]*heldTree] // never changed, but replaced
	opened  atomic.Int64                         // how many openings there were: the clock of heldTree.last
	crowded atomic.Bool                          // more than limit: whoever leaves a tree looks for one to close

	mu    sync.Mutex // guards limit, and held by who replaces table or closes a tree
	limit int
}

// heldTree is a tree in the cache. tree and err are set before ready is closed.
type heldTree struct {
	slot   uint32
	pinned bool // never closed nor counted: the caller of Mount owns it
	ready  chan struct{}
	tree   *Tree
	err    error

	users atomic.Int64 // who acquired it, and load while it opens; below 0: closed
	last  atomic.Int64 // treeCache.opened when it was last acquired
}

// closedTree is what users of a closed tree begin at: those who come too late and
// leave again never get it up to 0.
const closedTree = -1 << 40

func newTreeCache(base context.Context, limit int, timeout time.Duration, open func(context.Context, Slot) (*Tree, error)) *treeCache {
	c := &treeCache{open: open, limit: limit, timeout: timeout, base: base}
	c.table.Store(&map[uint32]*heldTree{})
	return c
}

// pin puts a tree in that somebody else closes.
func (c *treeCache) pin(slot uint32, t *Tree) {
	ready := make(chan struct{})
	close(ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(&heldTree{slot: slot, ready: ready, tree: t, pinned: true}, nil)
}

// replace puts a tree into the table, or takes some out. mu is held.
func (c *treeCache) replace(in *heldTree, out []*heldTree) {
	table := maps.Clone(*c.table.Load())
	for _, h := range out {
		delete(table, h.slot)
	}
	if in != nil {
		table[in.slot] = in
	}
	c.table.Store(&table)
	c.crowded.Store(len(table) > c.limit)
}

// acquireOpen is acquire for a tree that is open already; else it gives nil.
func (c *treeCache) acquireOpen(n uint32) *heldTree {
	h := (*c.table.Load())[n]
	if h == nil || !h.isReady() || h.err != nil || !c.use(h) {
		return nil
	}
	return h
}

func (h *heldTree) isReady() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

// acquire gives the tree of slot number n, which is s, opening it if needed. The
// caller must release it.
func (c *treeCache) acquire(ctx context.Context, n uint32, s Slot) (*heldTree, error) {
	h := c.enter(n, s)
	select {
	case <-h.ready:
	case <-ctx.Done():
		c.release(h)
		return nil, ctx.Err()
	}
	if h.err != nil {
		c.release(h)
		return nil, settle(ctx, h.err)
	}
	return h, nil
}

// enter finds or starts the entry of n and counts a user.
func (c *treeCache) enter(n uint32, s Slot) *heldTree {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := (*c.table.Load())[n]
	if h == nil {
		h = &heldTree{slot: n, ready: make(chan struct{})}
		h.users.Store(1) // load
		c.opened.Add(1)
		c.replace(h, nil)
		c.shrink()
		c.opening.Add(1)
		go c.load(h, s)
	}
	c.use(h) // it is in the table and mu is held: not closed
	return h
}

// use counts a user; false: the tree is closed.
func (c *treeCache) use(h *heldTree) bool {
	if h.pinned {
		return true
	}
	if h.users.Add(1) <= 0 {
		h.users.Add(-1)
		return false
	}
	if now := c.opened.Load(); h.last.Load() != now {
		h.last.Store(now)
	}
	return true
}

// load opens the tree of h for all who wait.
func (c *treeCache) load(h *heldTree, s Slot) {
	defer c.opening.Done()
	ctx, cancel := context.WithTimeout(c.base, c.timeout)
	defer cancel()
	h.tree, h.err = c.openSame(ctx, s)
	if h.err != nil {
		c.mu.Lock()
		c.replace(nil, []*heldTree{h}) // the next one tries again
		c.mu.Unlock()
	}
	close(h.ready)
	c.release(h)
}

// openSame opens s and makes sure that it is what s was when it was numbered:
// the kernel may hold pages and attributes of it.
func (c *treeCache) openSame(ctx context.Context, s Slot) (t *Tree, err error) {
	defer func() { // no handler's recover covers this goroutine
		if r := recover(); r != nil {
			err = &manifest.Error{Kind: manifest.KindOther, Op: "open version", Ref: s.Project + "/" + s.Name, Msg: fmt.Sprint("panic: ", r)}
		}
	}()
	t, err = c.open(ctx, s)
	if err != nil {
		return nil, err
	}
	if t.Digest != s.Digest {
		t.Snapshot.Close()
		return nil, &manifest.Error{Kind: manifest.KindChanged, Op: "open version", Ref: s.Project + "/" + s.Name,
			Expected: s.Digest, Found: t.Digest}
	}
	return t, nil
}

// release ends a use that acquire began.
func (c *treeCache) release(h *heldTree) {
	if h.pinned || h.users.Add(-1) > 0 || !c.crowded.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrink()
}

// shrink closes trees without users, those first whose last use is longest ago,
// until limit are left or all are in use. mu is held.
func (c *treeCache) shrink() {
	var closed []*heldTree
	table := *c.table.Load()
	for over := len(table) - c.limit; over > 0; over-- {
		h := c.closeOldest(table)
		if h == nil {
			break
		}
		closed = append(closed, h)
	}
	if closed != nil {
		c.replace(nil, closed)
	}
}

// closeOldest closes one tree; nil when all are in use.
func (c *treeCache) closeOldest(table map[uint32]*heldTree) *heldTree {
	for {
		var oldest *heldTree
		for _, h := range table {
			if !h.pinned && h.users.Load() == 0 && (oldest == nil || h.last.Load() < oldest.last.Load()) {
				oldest = h
			}
		}
		if oldest == nil {
			return nil
		}
		if oldest.users.CompareAndSwap(0, closedTree) {
			oldest.tree.Snapshot.Close()
			return oldest
		}
	}
}

// each calls fn for the trees that are open now.
func (c *treeCache) each(fn func(*Tree)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range *c.table.Load() {
		if h.isReady() && h.err == nil {
			fn(h.tree)
		}
	}
}

// close closes what is open, and what is still used as soon as it is not. No
// handler may run any more and base must be done.
func (c *treeCache) close() {
	c.opening.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = 0
	c.crowded.Store(true)
	c.shrink()
}
