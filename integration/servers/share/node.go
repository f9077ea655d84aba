package share

import (
	"context"
	"path"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory of the share.
type node struct {
	*fs.LoopbackNode
	rules *rules
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeStatxer        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeReader         = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
)

// newRoot gives the root of a share of dir.
func newRoot(dir string, r *rules) (*node, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return nil, err
	}
	data := &fs.LoopbackRoot{Path: dir, Dev: st.Dev}
	root := &node{&fs.LoopbackNode{RootData: data}, r}
	data.RootNode = root
	return root, nil
}

// WrapChild makes a child a node as well.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{ops.(*fs.LoopbackNode), n.rules}
}

func (n *node) where() string { return n.Path(n.Root()) }

// Lookup finds a name.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.rules.apply(ctx, Lookup, path.Join(n.where(), name), 0); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// Getattr answers a stat.
func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.rules.apply(ctx, Stat, n.where(), 0); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Getattr(ctx, f, out)
}

// Statx answers a statx.
func (n *node) Statx(ctx context.Context, f fs.FileHandle, flags, mask uint32, out *fuse.StatxOut) syscall.Errno {
	if errno := n.rules.apply(ctx, Stat, n.where(), 0); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Statx(ctx, f, flags, mask, out)
}

// Open opens a file, past the page cache.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.rules.apply(ctx, Open, n.where(), 0); errno != 0 {
		return nil, 0, errno
	}
	f, _, errno := n.LoopbackNode.Open(ctx, flags)
	return f, fuse.FOPEN_DIRECT_IO, errno
}

// Read reads an open file.
func (n *node) Read(ctx context.Context, f fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := n.rules.apply(ctx, Read, n.where(), off); errno != 0 {
		return nil, errno
	}
	file, ok := f.(fs.FileReader)
	if !ok {
		return nil, syscall.EBADF
	}
	return file.Read(ctx, dest, off)
}

// OpendirHandle opens a directory.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.rules.apply(ctx, ReadDir, n.where(), 0); errno != 0 {
		return nil, 0, errno
	}
	return n.LoopbackNode.OpendirHandle(ctx, flags)
}
