package fusefs

import (
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// OpenDir lets the kernel keep the contents of directories of versions. In a
// mount of one version it says so once and for all; with names it must be said
// for each directory, since lists of names are not kept.
func (f *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f.count.openDir.Add(1)
	if f.single() {
		return fuse.ENOSYS // the kernel goes on with KEEP_CACHE and CACHE_DIR
	}
	_, s, err := f.slotOf(in.NodeId)
	if err != nil {
		return f.fail("", err)
	}
	if s.Kind == SlotVersion {
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR
	} else {
		out.Fh = f.listings.handle()
	}
	return fuse.OK
}

// ReleaseDir forgets what OpenDir and ReadDir kept for a handle.
func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	f.count.openDir.Add(1)
	f.listings.drop(in.Fh)
}

// ReadDir lists a directory without attributes.
func (f *fileSystem) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.readDir(cancel, in, dirWriter{f: f, out: out})
}

// ReadDirPlus lists a directory with attributes, so that the kernel need not
// look each name up.
func (f *fileSystem) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.readDir(cancel, in, dirWriter{f: f, out: out, plus: true})
}

func (f *fileSystem) readDir(cancel <-chan struct{}, in *fuse.ReadIn, w dirWriter) fuse.Status {
	f.count.readDir.Add(1)
	n, s, err := f.slotOf(in.NodeId)
	if err != nil {
		return f.fail("", err)
	}
	if s.Kind != SlotVersion {
		return f.readNames(cancel, in, w, n, s)
	}
	held, err := f.tree(cancel, &in.InHeader, n, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	w.held = held
	f.followDir(held, n.index, in)
	if err := w.children(n, s, in.Offset); err != nil {
		return f.fail(s.path(""), err)
	}
	return fuse.OK
}

// children writes the entries of directory n from offset on. Offset 0 is before
// ".", 1 before "..", and 2+k before the directory's k-th record, so an offset
// stays right however long somebody keeps it.
func (w *dirWriter) children(n node, s Slot, offset uint64) error {
	dir, err := w.held.tree.Snapshot.Stat(n.index)
	if err != nil {
		return err
	}
	if offset < 2 && !w.dots(w.f.id(n), w.f.parent(n, s, dir), offset) {
		return nil
	}
	k := max(offset, 2) - 2
	if k >= uint64(dir.Count) {
		return nil
	}
	return w.held.tree.Snapshot.Children(n.index, uint32(k), func(rec *snapshot.Node) bool {
		k++
		return rec.Shadowed || w.node(rec, k+2)
	})
}

// parent gives the id for "..".
func (f *fileSystem) parent(n node, s Slot, dir snapshot.Node) uint64 {
	if n.index != 0 {
		return f.id(node{n.slot, dir.Parent})
	}
	if project, ok := f.o.Slots.Find(Slot{Kind: SlotProject, Project: s.Project}); ok && !f.single() {
		return f.id(node{slot: project})
	}
	return fuse.FUSE_ROOT_ID
}

// dirWriter fills the buffer of one READDIR or READDIRPLUS.
type dirWriter struct {
	f    *fileSystem
	out  *fuse.DirEntryList
	plus bool
	held *heldTree
}

// dots writes "." and ".." as far as offset wants them; false when the buffer is full.
func (w *dirWriter) dots(self, parent, offset uint64) bool {
	if offset == 0 && !w.name(fuse.DirEntry{Name: ".", Mode: dirMode, Ino: self, Off: 1}) {
		return false
	}
	return w.name(fuse.DirEntry{Name: "..", Mode: dirMode, Ino: parent, Off: 2})
}

// name writes an entry without attributes: the kernel looks it up when it is used.
func (w *dirWriter) name(e fuse.DirEntry) bool {
	if w.plus {
		return w.out.AddDirLookupEntry(e) != nil
	}
	return w.out.AddDirEntry(e)
}

// node writes the entry of a record; off is the offset after it. A file of
// unknown size goes without attributes, so that listing it asks nobody.
func (w *dirWriter) node(rec *snapshot.Node, off uint64) bool {
	name := unsafe.String(unsafe.SliceData(rec.Name), len(rec.Name)) // copied into the answer before rec ends
	e := fuse.DirEntry{Name: name, Mode: fileMode, Ino: w.f.id(node{w.held.slot, rec.Index}), Off: off}
	if rec.Dir {
		e.Mode = dirMode
	}
	if !w.plus || rec.Size == manifest.SizeUnknown {
		return w.name(e)
	}
	entry := w.out.AddDirLookupEntry(e)
	if entry == nil {
		return false
	}
	entry.NodeId, entry.EntryValid, entry.AttrValid = e.Ino, forever, forever
	w.f.fillNode(&entry.Attr, w.held, rec, rec.Size)
	return true
}
