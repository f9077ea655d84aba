package fusefs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ErrUnknown is Push's error for a file that the kernel does not know.
var ErrUnknown = errors.New("the kernel does not know the file")

// Push puts the whole content of a file into the kernel's cache, so that its reader
// need not ask for it. content gives it, nil for nothing; Distrust waits for what was
// given before. Push may wait for a READ of the same file to be answered, so no
// handler may wait for Push. Only for stateless mounts: with passthrough an open may
// drop the kernel's pages.
//
// ErrUnknown: the kernel has not looked the file up, or has forgotten it.
func (m *Mounted) Push(slot, index uint32, content func() []byte) error {
	m.pushing.RLock()
	defer m.pushing.RUnlock()
	data := content()
	if data == nil {
		return errNothing
	}
	m.fs.count.pushed.Add(1)
	switch st := m.server.InodeNotifyStoreCache(m.fs.id(node{slot, index}), 0, data); st {
	case fuse.OK:
		return nil
	case fuse.ENOENT:
		return ErrUnknown
	default:
		return fmt.Errorf("push to %s: %w", m.state.Dir, syscall.Errno(st))
	}
}

var errNothing = errors.New("there is nothing to push")

// Place is where somebody who lists the directory of a file finds it.
type Place struct {
	// Dir is the directory, absolute.
	Dir string
	// From is the offset before the file in it, see lseek(2); Names how many entries
	// follow from there on, the file's own among them.
	From  int64
	Names int
}

// Place gives that of file index of a version.
func (m *Mounted) Place(t *Tree, slot, index uint32) (p Place, err error) {
	rec, err := t.Snapshot.Stat(index)
	if err != nil {
		return p, err
	}
	dir, err := t.Snapshot.Stat(rec.Parent)
	if err != nil {
		return p, err
	}
	below, err := t.Snapshot.Path(rec.Parent)
	if err != nil {
		return p, err
	}
	p.Dir = filepath.Join(m.state.Dir, m.fs.above(t, slot), filepath.FromSlash(below))
	k := int64(index) - int64(dir.First)
	p.From, p.Names = 2+k, int(dir.Count)-int(k)
	return p, nil
}

// above is the way from the mount's root to the root of a version.
func (f *fileSystem) above(t *Tree, slot uint32) string {
	switch {
	case f.root.slot == slot:
		return ""
	case f.o.Project != "":
		return t.Name
	}
	return filepath.Join(t.Project, t.Name)
}

// Device is the mount's number, as in the Dev of stat(2); 0 when it is not known.
func (m *Mounted) Device() uint64 {
	major, minor, ok := strings.Cut(m.state.Device, ":")
	a, err := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err != nil || err2 != nil {
		return 0
	}
	return unix.Mkdev(uint32(a), uint32(b))
}
