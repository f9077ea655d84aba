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
	// FollowDir is the same before a READDIR that begins a directory.
	FollowDir(d FirstListing)
}

// At is a node of a version.
type At struct {
	// Tree is the version. Its snapshot is open during the call, and while it is held.
	Tree *Tree
	// Slot is the version's, Index the node in its snapshot.
	Slot, Index uint32

	fs   *fileSystem
	held *heldTree
}

// Hold keeps the tree's snapshot open until release is called. What fusefs did not
// make is held by whoever made it.
func (a At) Hold() (release func()) {
	if a.fs == nil || !a.fs.trees.use(a.held) {
		return func() {}
	}
	return func() { a.fs.trees.release(a.held) }
}

// FirstRead is a READ that begins a file or reaches its end, or both.
type FirstRead struct {
	At
	Begins, Ends bool
	// Looked: the kernel had to look the file's name up, lately.
	Looked bool
}

// FirstListing is a READDIR that begins a directory.
type FirstListing struct{ At }

// follow tells of a read of a file whose size is known.
func (f *fileSystem) follow(held *heldTree, index uint32, size int64, in *fuse.ReadIn) {
	if f.o.Follower == nil || size <= 0 {
		return
	}
	begins, ends := in.Offset == 0, in.Offset < uint64(size) && uint64(size)-in.Offset <= uint64(in.Size)
	if begins || ends {
		f.o.Follower.Follow(FirstRead{f.at(held, index), begins, ends, f.looked.lately(in.NodeId)})
	}
}

// followDir tells of a listing.
func (f *fileSystem) followDir(held *heldTree, index uint32, in *fuse.ReadIn) {
	if f.o.Follower != nil && in.Offset == 0 {
		f.o.Follower.FollowDir(FirstListing{f.at(held, index)})
	}
}

func (f *fileSystem) at(held *heldTree, index uint32) At {
	return At{held.tree, held.slot, index, f, held}
}

// looked remembers some of the nodes that were looked up by name last.
type looked [64]atomic.Uint64

func (l *looked) note(id uint64)        { l[id%uint64(len(l))].Store(id) }
func (l *looked) lately(id uint64) bool { return l[id%uint64(len(l))].Load() == id }
