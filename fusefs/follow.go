package fusefs

import (
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Follower hears in which order the files of a version are read, so that it can
// fetch what comes next. Opens are stateless and the kernel asks for nothing that it
// has, so what it hears are first reads.
type Follower interface {
	// Follow is called before a READ is answered, by the goroutine that answers it and
	// many at once. It waits for nothing.
	Follow(r FirstRead)
}

// FirstRead is a READ that begins a file or reaches its end, or both.
type FirstRead struct {
	// Tree is the version. Its snapshot is open during the call, and while it is held.
	Tree *Tree
	// Slot and Index are the file: its version's slot, its node in the snapshot.
	Slot, Index  uint32
	Begins, Ends bool
	// Looked: the kernel had to look the file's name up, lately.
	Looked bool

	fs   *fileSystem
	held *heldTree
}

// Hold keeps the tree's snapshot open until release is called. A read that fusefs
// did not make is held by whoever made it.
func (r FirstRead) Hold() (release func()) {
	if r.fs == nil || !r.fs.trees.use(r.held) {
		return func() {}
	}
	return func() { r.fs.trees.release(r.held) }
}

// follow tells of a read of a file whose size is known.
func (f *fileSystem) follow(held *heldTree, index uint32, size int64, in *fuse.ReadIn) {
	if f.o.Follower == nil || size <= 0 {
		return
	}
	begins, ends := in.Offset == 0, in.Offset < uint64(size) && uint64(size)-in.Offset <= uint64(in.Size)
	if begins || ends {
		f.o.Follower.Follow(FirstRead{Tree: held.tree, Slot: held.slot, Index: index, Begins: begins, Ends: ends,
			Looked: f.looked.lately(in.NodeId), fs: f, held: held})
	}
}

// looked remembers some of the nodes that were looked up by name last.
type looked [64]atomic.Uint64

func (l *looked) note(id uint64)        { l[id%uint64(len(l))].Store(id) }
func (l *looked) lately(id uint64) bool { return l[id%uint64(len(l))].Load() == id }
