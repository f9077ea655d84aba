package fusefs

import "github.com/hanwen/go-fuse/v2/fuse"

// Follower hears in which order the files of a version are read, so that it can
// fetch what comes next. Opens are stateless and the kernel asks for nothing that it
// has, so what it hears are first reads.
type Follower interface {
	// Follow is called before a READ that begins a file or reaches its end, or both,
	// by the goroutine that answers it and many at once. Index is the file's node in
	// t's snapshot, which is open during the call only. It waits for nothing.
	Follow(t *Tree, index uint32, begins, ends bool)
}

// follow tells of a read of a file whose size is known.
func (f *fileSystem) follow(held *heldTree, index uint32, size int64, in *fuse.ReadIn) {
	if f.o.Follower == nil || size <= 0 {
		return
	}
	begins, ends := in.Offset == 0, in.Offset < uint64(size) && uint64(size)-in.Offset <= uint64(in.Size)
	if begins || ends {
		f.o.Follower.Follow(held.tree, index, begins, ends)
	}
}
