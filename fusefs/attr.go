package fusefs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

const (
	fileMode = syscall.S_IFREG | 0o444
	dirMode  = syscall.S_IFDIR | 0o555
	linkMode = syscall.S_IFLNK | 0o777

	sector    = 512       // unit of Attr.Blocks
	blockSize = 128 << 10 // st_blksize: what cp and rsync read at once
)

// GetAttr gives attributes. Those below a version stay for ever.
func (f *fileSystem) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.count.getAttr.Add(1)
	n, s, err := f.slotOf(in.NodeId)
	if err != nil {
		return f.fail("", err)
	}
	if s.Kind != SlotVersion {
		out.AttrValid = nameValid
		f.nameAttr(&out.Attr, n, s)
		return fuse.OK
	}
	held, err := f.tree(cancel, &in.InHeader, n, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Stat(n.index)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	out.AttrValid = forever
	return f.nodeAttr(cancel, &in.InHeader, &out.Attr, held, &rec)
}

// nameAttr fills in what lists of names and aliases look like. A list has one
// link: how many directories are in it changes, and find takes 1 for unknown.
func (f *fileSystem) nameAttr(a *fuse.Attr, n node, s Slot) {
	a.Mode, a.Nlink = dirMode, 1
	if s.Kind == SlotAlias {
		a.Mode, a.Size = linkMode, uint64(len(s.Target))
	}
	f.common(a, n, f.started)
}

// nodeAttr fills in the attributes of a node of a version. It asks Content for
// the size of a file whose manifest does not tell it.
func (f *fileSystem) nodeAttr(cancel <-chan struct{}, h *fuse.InHeader, a *fuse.Attr, held *heldTree, rec *snapshot.Node) fuse.Status {
	size := rec.Size
	if size == manifest.SizeUnknown {
		ctx, stop := f.request(cancel, h.Pid, f.o.ReadTimeout)
		defer stop()
		obj, err := held.tree.Snapshot.Object(rec.Index)
		if err == nil {
			size, err = f.askSize(ctx, obj)
		}
		if err != nil {
			return f.faults.report(held.path(*rec), obj, err)
		}
	}
	f.fillNode(a, held, rec, size)
	return fuse.OK
}

func (f *fileSystem) askSize(ctx context.Context, obj manifest.Object) (int64, error) {
	size, err := f.o.Content.Size(ctx, obj)
	if err == nil && size < 0 {
		err = &manifest.Error{Kind: manifest.KindOther, Op: "size", Ref: obj.Ref, Msg: "size is not known"}
	}
	return size, settle(ctx, err)
}

// fillNode fills in the attributes of a node whose size is known.
func (f *fileSystem) fillNode(a *fuse.Attr, held *heldTree, rec *snapshot.Node, size int64) {
	if rec.Dir {
		a.Mode, a.Nlink = dirMode, 2+rec.Dirs
	} else {
		a.Mode, a.Nlink = fileMode, 1
		a.Size, a.Blocks = uint64(size), (uint64(size)+sector-1)/sector
	}
	modified := held.tree.Created
	if !rec.Dir && rec.ModTime != 0 {
		modified = time.Unix(0, rec.ModTime)
	}
	f.common(a, node{held.slot, rec.Index}, modified)
}

// common fills in what all nodes have.
func (f *fileSystem) common(a *fuse.Attr, n node, modified time.Time) {
	a.Ino, a.Blksize = f.id(n), blockSize
	a.Uid, a.Gid = *f.o.UID, *f.o.GID
	sec, nsec := uint64(modified.Unix()), uint32(modified.Nanosecond())
	a.Atime, a.Mtime, a.Ctime = sec, sec, sec
	a.Atimensec, a.Mtimensec, a.Ctimensec = nsec, nsec, nsec
}

// path names a node for messages: project/name:vN/path.
func (h *heldTree) path(rec snapshot.Node) string {
	below, err := h.tree.Snapshot.Path(rec.Index)
	if err != nil {
		below = "node " + strconv.FormatUint(uint64(rec.Index), 10)
	}
	return Slot{Kind: SlotVersion, Project: h.tree.Project, Name: h.tree.Name}.path(below)
}
