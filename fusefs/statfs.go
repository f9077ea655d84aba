package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
)

// statBlock is the unit that df counts in, bytes.
const statBlock = 4096

// StatFs shows a full file system: as many blocks as the version has, none free.
// At a list of names it sums the versions that are open.
func (f *fileSystem) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	f.count.statFs.Add(1)
	out.Bsize, out.Frsize, out.NameLen = statBlock, statBlock, maxName
	n, s, err := f.slotOf(h.NodeId)
	if err != nil {
		return f.fail("", err)
	}
	if s.Kind != SlotVersion {
		f.trees.each(func(t *Tree) { addStat(out, t) })
		return fuse.OK
	}
	held, err := f.tree(cancel, h, n, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	addStat(out, held.tree)
	return fuse.OK
}

func addStat(out *fuse.StatfsOut, t *Tree) {
	out.Blocks += (uint64(max(t.Snapshot.Summary().Bytes, 0)) + statBlock - 1) / statBlock
	out.Files += uint64(t.Snapshot.Nodes())
}
