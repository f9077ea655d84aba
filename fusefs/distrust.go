package fusefs

import (
	"context"

	"github.com/pinfs/pinfs/manifest"
)

// Distrust makes the kernel forget what it holds of the bytes of obj, and reports
// err for each file of the mount that is obj: some of its bytes were served before
// they turned out to be wrong. Content must refuse them before Distrust is called.
// A read that is being answered is waited for, so no handler may call it.
//
// Nothing is remembered of what was read, so it looks through all versions that
// the kernel may know, some million files a second.
func (m *Mounted) Distrust(ctx context.Context, obj manifest.Object, err error) {
	slots := m.fs.o.Slots
	for n := range slots.Len() {
		if s, ok := slots.Slot(uint32(n)); ok && s.Kind == SlotVersion {
			m.distrustIn(ctx, uint32(n), s, obj, err)
		}
	}
}

// distrustIn is Distrust for one version. One that can't be opened can't be read
// either.
func (m *Mounted) distrustIn(ctx context.Context, slot uint32, s Slot, obj manifest.Object, err error) {
	held, openErr := m.fs.trees.acquire(ctx, slot, s)
	if openErr != nil {
		m.fs.o.Logger.Warn("can't look for files whose bytes are wrong", "version", s.path(""), "ref", obj.Ref, "error", openErr)
		return
	}
	defer m.fs.trees.release(held)
	snap := held.tree.Snapshot
	for i := range snap.Nodes() {
		rec, nodeErr := snap.Node(i)
		if nodeErr != nil || rec.Dir || rec.Size != obj.Size {
			continue
		}
		if same, objErr := snap.Object(i); objErr != nil || same != obj {
			continue
		}
		m.fs.faults.report(held.path(rec), obj, err)
		m.server.InodeNotify(m.fs.id(node{slot, i}), 0, 0) // all bytes; an id that the kernel does not know is fine
	}
}
