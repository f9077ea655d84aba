package daemon

import (
	"sync"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// ahead fetches files ahead of readers that take them in the order of the manifest:
// the order of a snapshot's nodes, which is that of the paths within a directory and
// from one directory to the next of its depth; and the rest of a version of which
// much was read in no order. It is the fusefs.Follower of a mount.
type ahead struct {
	prefetch func(obj manifest.Object, n int64) cache.Ahead
	pushes   *pushes // nil: the kernel is left to ask

	mu    sync.Mutex // guards all below; held while fetches are begun, not for more
	clock uint64
	trees map[*fusefs.Tree]*order
}

var _ fusefs.Follower = (*ahead)(nil)

// maxOrders bounds the versions that are followed at once, 20 KiB each and a bit for
// each node.
const maxOrders = 32

func newAhead(prefetch func(manifest.Object, int64) cache.Ahead, p *pushes) *ahead {
	return &ahead{prefetch: prefetch, pushes: p, trees: map[*fusefs.Tree]*order{}}
}

// Follow notes a read, and has fetched what the order of reads leads to.
func (a *ahead) Follow(r fusefs.FirstRead) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clock++
	o := a.order(r.Tree)
	o.used = a.clock
	if r.Ends && !r.Begins {
		o.ended(r.Index)
		return
	}
	f := o.read(r.Index)
	if wanted := o.rest.read(r.Index, o.files, f != nil); wanted {
		o.rest.advance(r.Tree.Snapshot, a.prefetch)
	}
	if f == nil {
		return
	}
	n, err := r.Tree.Snapshot.Node(r.Index)
	if err != nil {
		return // its reader hears of it
	}
	f.entered(n)
	f.advance(o, r.Tree.Snapshot, a.prefetch)
	a.push(o, f, r, n)
}

// FollowDir notes a listing, and has those listed that come next.
func (a *ahead) FollowDir(d fusefs.FirstListing) {
	if a.pushes == nil || a.pushes.list == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clock++
	o := a.order(d.Tree)
	o.used = a.clock
	if f := o.walk.begins(d.Tree.Snapshot, d.Index); f != nil {
		f.advance(a.pushes, d)
	}
}

// push gives the kernel what comes next. What it was given counts as read: it is not
// asked for.
func (a *ahead) push(o *order, f *front, r fusefs.FirstRead, n snapshot.Node) {
	if a.pushes == nil {
		return
	}
	dir, err := r.Tree.Snapshot.Stat(n.Parent)
	if err != nil {
		return
	}
	o.pushed(f.pushFront.push(a.pushes, r, dir, f.crossed))
}

// order gives that of t. Trees that were not read lately make room; the snapshot of
// a tree is used only while fusefs holds it.
func (a *ahead) order(t *fusefs.Tree) *order {
	if o := a.trees[t]; o != nil {
		return o
	}
	if len(a.trees) >= maxOrders {
		var oldest *fusefs.Tree
		for t, o := range a.trees {
			if oldest == nil || o.used < a.trees[oldest].used {
				oldest = t
			}
		}
		delete(a.trees, oldest)
	}
	o := newOrder(uint32(min(t.Snapshot.Nodes(), 1<<31)))
	a.trees[t] = o
	return o
}

const (
	// firstFiles is how many files are fetched ahead when an order shows, maxFiles
	// when it went on for long.
	firstFiles, maxFiles = 4, 256
	// maxAheadBytes bounds what is fetched ahead of one reader.
	maxAheadBytes = 64 << 20
	// wholeAhead is how large a file may be to be fetched whole before it is read;
	// of larger ones, and until a reader of such files has reached the end of one,
	// firstBytes are.
	wholeAhead, firstBytes = 8 << 20, 1 << 20
	// sparse: where so many files in a row were here, every so manyth is looked at.
	sparse = 32
	// crossing is how many files may lie between the last one read of a directory and
	// the first of another for it to be the next one.
	crossing = 4
	// atOnce bounds how many files one read looks at.
	atOnce = 16
)

// front is where one reader is in the order.
type front struct {
	used   uint64 // the order's clock
	gap    uint64 // how many reads before this one it was used
	pace   uint64 // gap before that
	next   uint32 // behind the furthest file read
	before uint32 // next before the last read
	ahead  uint32 // behind the last one that was asked for
	window uint32 // files kept asked for beyond next
	grown  uint32 // next when window last grew
	here   uint32 // how many in a row needed no fetch
	dir    uint32 // of the file read last
	began  bool   // dir is known
	// crossed: the reader went on from one directory to the next. Until it did, what
	// is behind the end of its directory is not fetched.
	crossed bool
	ends    int // above 0: larger files were read to their ends, lately
	sizes   average
	pushFront
}

// average is a moving one of sizes, in bytes.
type average int64

func (a *average) add(n int64) { *a += average((n - int64(*a)) / 8) }

// entered notes that the reader is at file n.
func (f *front) entered(n snapshot.Node) {
	if f.began && n.Parent != f.dir {
		f.crossed = n.Index <= f.before+crossing && n.Index+crossing >= f.before && f.gap <= 4*f.pace+crossing
		if !f.crossed {
			used, next := f.used, f.next
			*f = newFront(n.Index)
			f.used, f.next = used, next
		}
	}
	f.dir, f.began = n.Parent, true
	if n.Size > firstBytes {
		f.ends--
	}
}

// advance asks for files until the window is full or the cache has no room.
func (f *front) advance(o *order, s *snapshot.Snapshot, prefetch func(manifest.Object, int64) cache.Ahead) {
	limit := min(uint64(f.next)+uint64(f.window), uint64(s.Nodes()))
	if f.sizes > 0 {
		limit = min(limit, uint64(f.next)+max(2, uint64(maxAheadBytes/f.sizes)))
	}
	f.ahead = max(f.ahead, f.next)
	// A reader that was given some files comes for the next ones all at once.
	most := atOnce + int(f.next-f.before)
	for tries := 0; uint64(f.ahead) < limit && tries < most; f.ahead++ {
		if f.here >= sparse && f.ahead%sparse != 0 || !o.ask(f.ahead) {
			continue
		}
		n, err := s.Node(f.ahead)
		if err != nil || n.Dir || n.Shadowed {
			continue // damage is its reader's to hear of
		}
		if n.Parent != f.dir && !f.crossed {
			return
		}
		tries++
		if !f.fetch(s, n, prefetch) {
			return
		}
		o.asked[f.ahead%askedSlots] = f.ahead + 1
	}
}

// fetch asks for file n; false when there is no room.
func (f *front) fetch(s *snapshot.Snapshot, n snapshot.Node, prefetch func(manifest.Object, int64) cache.Ahead) bool {
	obj, err := s.Object(n.Index)
	if err != nil {
		return true
	}
	size := f.wants(obj.Size)
	switch prefetch(obj, size) {
	case cache.AheadFull:
		return false
	case cache.AheadHere:
		f.here++
	case cache.AheadStarted:
		f.here = 0
		f.sizes.add(min(size, max(obj.Size, 0)))
	}
	return true
}

// wants is how much of a file of that size is fetched before it is read.
func (f *front) wants(size int64) int64 {
	if size > firstBytes && (size > wholeAhead || f.ends <= 0) {
		return firstBytes
	}
	return wholeAhead
}
