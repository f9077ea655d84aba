package fusefs

import (
	"context"
	"crypto/sha256"

	"github.com/pinfs/pinfs/manifest"
)

// Distrust makes the kernel forget what it holds of the bytes of objects, and
// reports the error of each for all files of the mount that are it: some of its
// bytes were served before they turned out to be wrong. Content must refuse them
// before Distrust is called. A read that is being answered is waited for, so no
// handler may wait for Distrust.
//
// Nothing is remembered of what was read, so it looks through all versions that
// the kernel may know, some million files a second.
func (m *Mounted) Distrust(ctx context.Context, wrong map[manifest.Object]error) {
	sizes := map[int64]bool{} // spares most files a closer look
	byKey := map[objectKey]error{}
	for obj, err := range wrong {
		sizes[obj.Size] = true
		byKey[obj.Key()] = err
	}
	m.pushing.Lock() // what was taken before it was refused is there by now
	defer m.pushing.Unlock()
	slots := m.fs.o.Slots
	for n := range slots.Len() {
		if s, ok := slots.Slot(uint32(n)); ok && s.Kind == SlotVersion {
			m.distrustIn(ctx, uint32(n), s, func(held *heldTree, i uint32, size int64) {
				if sizes[size] {
					m.distrustFile(held, i, byKey)
				}
			})
		}
	}
}

// distrustIn calls fn for the files of one version. One that can't be opened can't
// be read either.
func (m *Mounted) distrustIn(ctx context.Context, slot uint32, s Slot, fn func(held *heldTree, i uint32, size int64)) {
	held, err := m.fs.trees.acquire(ctx, slot, s)
	if err != nil {
		m.fs.o.Logger.Warn("can't look for files whose bytes are wrong", "version", s.path(""), "error", err)
		return
	}
	defer m.fs.trees.release(held)
	snap := held.tree.Snapshot
	for i := range snap.Nodes() {
		if rec, err := snap.Node(i); err == nil && !rec.Dir {
			fn(held, i, rec.Size)
		}
	}
}

// objectKey is manifest.Object's: two manifests can name one object with other
// checksums beside it.
type objectKey = [sha256.Size]byte

func (m *Mounted) distrustFile(held *heldTree, i uint32, wrong map[objectKey]error) {
	obj, err := held.tree.Snapshot.Object(i)
	if err != nil {
		return
	}
	cause := wrong[obj.Key()]
	if cause == nil {
		return
	}
	rec, err := held.tree.Snapshot.Node(i)
	if err != nil {
		return
	}
	m.fs.faults.report(held.path(rec), obj, cause)
	m.server.InodeNotify(m.fs.id(node{held.slot, i}), 0, 0) // all bytes; an id that the kernel does not know is fine
}
