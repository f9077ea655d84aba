package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/registry/expand"
)

// Store keeps descriptors for the process that takes the place of this one: systemd,
// or pinfs's own owner. What Put was given is there at the latest when this process
// has ended, however it ends.
type Store interface {
	Put(name string, f *os.File) error
	// Remove closes all that is kept under name.
	Remove(name string) error
}

// Names of what is kept. A mount has an id, and up to four descriptors with it.
const (
	keptLock     = "lock"      // of the cache directory
	keptConn     = "conn-"     // /dev/fuse
	keptState    = "state-"    // see stateFile
	keptSnapshot = "snapshot-" // of a mount of one version
	keptMemory   = "memory-"   // see fusefs.Options.Memory
)

// handover has one mount outlive this process. It is the mount's fusefs.Keeper.
type handover struct {
	store  Store
	id     string
	state  *stateFile
	first  mountRecord // what is known before the mount is made
	snap   string      // path of the snapshot, "" for a mount of names
	memory *os.File
}

var _ fusefs.Keeper = (*handover)(nil)

// newHandover gives nil when nothing can outlive this process.
func (d *Daemon) newHandover() (*handover, error) {
	if d.o.Store == nil {
		return nil, nil
	}
	state, err := newStateFile()
	if err != nil {
		return nil, err
	}
	return &handover{store: d.o.Store, id: strings.ToLower(rand.Text()[:10]), state: state}, nil
}

// prepare notes what m shows, and has o tell of the rest.
func (h *handover) prepare(m *mount, o *fusefs.Options) error {
	h.first = mountRecord{Request: m.req, Ref: m.ref, Open: string(o.Open), OpenWhy: m.openWhy, Since: m.since}
	if t := m.tree; t != nil {
		h.first.Tree = &treeRecord{Project: t.Project, Name: t.Name, Digest: t.Digest, Created: t.Created}
		h.snap = t.Snapshot.File()
	}
	o.Keeper, o.Slots = h, fusefs.NewSlots(h.slot)
	var err error
	h.memory, err = fusefs.NewMemory()
	o.Memory = h.memory
	return err
}

// Made keeps the connection and all that is known by now.
func (h *handover) Made(conn *os.File, dir string) error {
	h.first.Dir = dir
	err := h.state.add(stateRecord{Mount: &h.first})
	if err == nil && h.snap != "" {
		err = h.keepSnapshot()
	}
	if err == nil && h.memory != nil {
		err = h.store.Put(keptMemory+h.id, h.memory)
	}
	return errors.Join(err, h.store.Put(keptState+h.id, h.state.file), h.store.Put(keptConn+h.id, conn))
}

func (h *handover) keepSnapshot() error {
	f, err := os.Open(h.snap)
	if err != nil {
		return fmt.Errorf("keep snapshot: %w", err)
	}
	defer f.Close()
	return h.store.Put(keptSnapshot+h.id, f)
}

// Begun notes what the kernel said.
func (h *handover) Begun(st fusefs.MountState) error {
	return h.state.add(stateRecord{Begun: &st})
}

// found and pinned note what unpinned references were found to be.
func (h *handover) found(f expand.Found) error {
	return h.state.add(stateRecord{Found: newFoundRecord(f)})
}

func (h *handover) pinned(p expand.Pinned) error {
	return h.state.add(stateRecord{Pinned: newPinnedRecord(p)})
}

// slot notes an entry of the slot table.
func (h *handover) slot(line []byte) error { return h.state.add(stateRecord{Slot: line}) }

// end gives all of it back: the mount is gone, or is not to outlive this process.
func (h *handover) end() error {
	if h == nil {
		return nil
	}
	var errs []error
	for _, name := range keptNames() {
		errs = append(errs, h.store.Remove(name+h.id))
	}
	if h.memory != nil {
		errs = append(errs, h.memory.Close())
	}
	return errors.Join(append(errs, h.state.file.Close())...)
}

// keptNames are what comes before the id of a mount.
func keptNames() []string { return []string{keptConn, keptState, keptSnapshot, keptMemory} }
