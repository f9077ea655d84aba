package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// How long the kernel may keep things, in seconds.
const (
	forever   = 1 << 30 // what is pinned never changes
	nameValid = 1       // aliases move, versions are deleted
)

// fileSystem answers the kernel. It has no state for files, only the slot table
// and caches; see the package comment for ids.
type fileSystem struct {
	fuse.RawFileSystem // the default: ENOSYS, see refuse.go for what must differ

	o        Options
	root     node
	base     context.Context // ends with the mount
	end      context.CancelFunc
	trees    *treeCache
	faults   *faults
	objects  objects
	viewer   Viewer // nil: the content has none
	listings listings
	looked   looked
	count    counters
	opens    *opens        // nil: stateless
	line     *os.File      // the connection; see dead
	memory   *sharedMemory // nil: nobody takes the mount over
	started  time.Time     // the modification time of lists of names

	noPassthrough string // why there is none though it was asked for
}

var _ fuse.RawFileSystem = (*fileSystem)(nil)

// newFileSystem gives the file system for o, which has its defaults.
func newFileSystem(o Options) (*fileSystem, error) {
	slot, err := o.Slots.Number(o.rootSlot())
	if err != nil {
		return nil, err
	}
	f := &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), o: o, root: node{slot: slot}, started: time.Now()}
	if f.memory, err = mapMemory(o.Memory); err != nil {
		return nil, err
	}
	f.viewer, _ = o.Content.(Viewer)
	f.base, f.end = context.WithCancel(context.Background())
	f.faults = &faults{log: o.Logger, onError: o.OnError}
	f.trees = newTreeCache(f.base, o.MaxIdleTrees, o.NamesTimeout, o.openSlot)
	if o.Tree != nil {
		f.trees.pin(slot, o.Tree)
	}
	return f, nil
}

// String names the type of the mount: fuse.pinfs.
func (f *fileSystem) String() string { return "pinfs" }

// OnUnmount is called after the last request.
func (f *fileSystem) OnUnmount() {
	f.end()
	f.trees.close()
	if f.opens != nil {
		f.opens.files.end()
	}
	f.memory.unmap()
	_ = f.line.Close() // nobody else has it
}

// panicked turns a panic of a handler into EIO, so that one bad request does not
// take all mounts down.
func (f *fileSystem) panicked(r any) fuse.Status {
	f.o.Logger.Error("panic in a request", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return fuse.EIO
}

// single tells whether the mount shows one version only.
func (f *fileSystem) single() bool { return f.o.Tree != nil }

// errStale is for ids that were never given out.
var errStale = &manifest.Error{Kind: manifest.KindGone, Op: "look up node", Msg: "no such node"}

// slotOf gives the node and slot of an id.
func (f *fileSystem) slotOf(id uint64) (node, Slot, error) {
	n := f.node(id)
	s, ok := f.o.Slots.Slot(n.slot)
	if !ok || (s.Kind != SlotVersion && n.index != 0) {
		return n, s, errStale
	}
	return n, s, nil
}

// namesContext is the context of a question to Names.
func (f *fileSystem) namesContext(cancel <-chan struct{}, h *fuse.InHeader) (context.Context, context.CancelFunc) {
	return f.request(cancel, h.Pid, f.o.NamesTimeout)
}

// tree acquires the tree of a version slot. The caller releases it.
func (f *fileSystem) tree(cancel <-chan struct{}, h *fuse.InHeader, n node, s Slot) (*heldTree, error) {
	if held := f.trees.acquireOpen(n.slot); held != nil {
		return held, nil
	}
	ctx, stop := f.namesContext(cancel, h)
	defer stop()
	return f.trees.acquire(ctx, n.slot, s)
}

// fail reports an error that is about a node rather than an object.
func (f *fileSystem) fail(path string, err error) fuse.Status {
	return f.faults.report(path, manifest.Object{}, err)
}

// path names a node for people: project/name:vN/path, as far as it is known.
func (s Slot) path(below string) string {
	switch {
	case s.Kind == SlotProjects:
		return "/"
	case s.Kind == SlotProject:
		return s.Project
	case below == "":
		return s.Project + "/" + s.Name
	}
	return s.Project + "/" + s.Name + "/" + below
}

// typed gives the first *manifest.Error in a chain.
func typed(err error) *manifest.Error {
	var e *manifest.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
