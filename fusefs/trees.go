package fusefs

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// treeCache keeps the snapshots of version slots open, at most limit of them
// besides those in use, so that descriptors and mappings are bounded however
// many versions a walk over a registry touches.
type treeCache struct {
	open    func(ctx context.Context, s Slot) (*Tree, error)
	timeout time.Duration
	base    context.Context // of the mount: an opening goes on when its first caller dies
	opening sync.WaitGroup

	mu    sync.Mutex // guards all below and the fields of heldTree
	limit int
	trees map[uint32]*heldTree
	idle  list.List // of *heldTree without users, least recently used first
}

// heldTree is a tree in the cache. tree and err are set before ready is closed.
type heldTree struct {
	slot  uint32
	ready chan struct{}
	tree  *Tree
	err   error

	users  int           // who acquired it, and load while it opens
	pinned bool          // never closed: the caller of Mount owns it
	place  *list.Element // in idle when users is 0
}

func newTreeCache(base context.Context, limit int, timeout time.Duration, open func(context.Context, Slot) (*Tree, error)) *treeCache {
	return &treeCache{open: open, limit: limit, timeout: timeout, base: base, trees: map[uint32]*heldTree{}}
}

// pin puts a tree in that somebody else closes.
func (c *treeCache) pin(slot uint32, t *Tree) {
	ready := make(chan struct{})
	close(ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trees[slot] = &heldTree{slot: slot, ready: ready, tree: t, pinned: true}
}

// acquireOpen is acquire for a tree that is open already; else it gives nil.
func (c *treeCache) acquireOpen(n uint32) *heldTree {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.trees[n]
	if !ok || !h.isReady() || h.err != nil {
		return nil
	}
	c.use(h)
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
	h, ok := c.trees[n]
	if !ok {
		h = &heldTree{slot: n, ready: make(chan struct{}), users: 1} // load is one
		c.trees[n] = h
		c.opening.Add(1)
		go c.load(h, s)
	}
	c.use(h)
	return h
}

// use counts a user. mu is held.
func (c *treeCache) use(h *heldTree) {
	h.users++
	if h.place != nil {
		c.idle.Remove(h.place)
		h.place = nil
	}
}

// load opens the tree of h for all who wait.
func (c *treeCache) load(h *heldTree, s Slot) {
	defer c.opening.Done()
	ctx, cancel := context.WithTimeout(c.base, c.timeout)
	defer cancel()
	h.tree, h.err = c.openSame(ctx, s)
	if h.err != nil {
		c.mu.Lock()
		delete(c.trees, h.slot) // the next one tries again
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
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
	if h.users > 0 || h.pinned || c.trees[h.slot] != h {
		return
	}
	h.place = c.idle.PushBack(h)
	c.shrink(c.limit)
}

// shrink closes idle trees until at most keep are left. mu is held.
func (c *treeCache) shrink(keep int) {
	for c.idle.Len() > keep {
		h := c.idle.Remove(c.idle.Front()).(*heldTree)
		h.place = nil
		delete(c.trees, h.slot)
		h.tree.Snapshot.Close()
	}
}

// each calls fn for the trees that are open now.
func (c *treeCache) each(fn func(*Tree)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.trees {
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
	c.shrink(0)
}
