package fusefs

import (
	"math/rand/v2"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// opens answers OPEN in a mount with passthrough. All handles of one node must be
// of one mode, or the kernel fails the open with EIO: ordinary, or passthrough to
// one file. So the mode of the first handle stays until the last was released. The
// kernel ends the mode of a handle before it sends RELEASE, so a node without
// handles here has none there.
type opens struct {
	files *backings
	epoch uint64 // of this server, in the handles' numbers; the lowest bit is free

	mu    sync.Mutex // guards nodes and openNode.users; held while nothing else is taken
	nodes map[uint64]*openNode
}

// openNode is a file that is open, or being opened.
type openNode struct {
	users int

	mu      sync.Mutex // held while the mode is decided
	decided bool
	obj     manifest.Object
	file    *backing // nil: ordinary
}

// handlePassthrough marks the number of a handle; see opens.epoch.
const handlePassthrough = 1

func newOpens(files *backings) *opens {
	return &opens{files: files, epoch: rand.Uint64() &^ handlePassthrough, nodes: map[uint64]*openNode{}}
}

// startOpens decides how files are opened, as soon as the kernel has said what it
// can do. It does not change while the mount lives.
func (f *fileSystem) startOpens(server *fuse.Server) {
	if f.o.Open != OpenPassthrough {
		return
	}
	lender, ok := f.o.Content.(Lender)
	switch {
	case server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0:
		f.noPassthrough = "the kernel has no FUSE passthrough (Linux 6.9)"
	case !ok:
		f.noPassthrough = "nothing here has files to pass through"
	default:
		f.noPassthrough = probe(server, lender)
	}
	if f.noPassthrough == "" {
		f.opens = newOpens(newBackings(server, lender, f.o.Logger))
		return
	}
	f.o.Logger.Warn("no passthrough, files are opened stateless", "reason", f.noPassthrough)
}

// Open is stateless unless the mount has passthrough: ENOSYS tells the kernel not
// to ask again, neither here nor at close. A read-only mount has refused writers
// before.
func (f *fileSystem) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f.count.open.Add(1)
	if f.opens == nil {
		return fuse.ENOSYS
	}
	n, s, err := f.slotOf(in.NodeId)
	if err != nil {
		return f.fail("", err)
	}
	if s.Kind != SlotVersion {
		return fuse.EISDIR
	}
	held, err := f.tree(cancel, &in.InHeader, n, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Node(n.index)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	obj, err := held.tree.Snapshot.Object(rec.Index)
	if err != nil {
		return f.fail(held.path(rec), err)
	}
	ctx, stop := f.request(cancel, in.Pid, f.o.ReadTimeout)
	defer stop()
	file := f.opens.enter(in.NodeId, obj)
	out.Fh, out.OpenFlags = f.opens.epoch, fuse.FOPEN_KEEP_CACHE|fuse.FOPEN_NOFLUSH
	if file == nil {
		return fuse.OK
	}
	if err := file.loan.Ready(ctx); err != nil {
		f.opens.leave(in.NodeId)
		return f.faults.report(held.path(rec), obj, settle(ctx, err))
	}
	out.Fh |= handlePassthrough
	out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH|fuse.FOPEN_NOFLUSH, file.id
	return fuse.OK
}

// Release ends a handle. Those of a server before this one are not known here.
func (f *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f.count.open.Add(1)
	if f.opens != nil && in.Fh&^handlePassthrough == f.opens.epoch {
		f.opens.leave(in.NodeId)
	}
}

// Flush is the other half of a stateless Open.
func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status {
	f.count.open.Add(1)
	return fuse.ENOSYS
}

// enter counts a handle of a node, and gives the file that the kernel is to read;
// nil when it is to ask.
func (s *opens) enter(id uint64, obj manifest.Object) *backing {
	s.mu.Lock()
	n := s.nodes[id]
	if n == nil {
		n = &openNode{obj: obj}
		s.nodes[id] = n
	}
	n.users++
	s.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.decided {
		n.file, n.decided = s.files.take(obj), true
	}
	return n.file
}

// leave ends a handle. The last one frees the node for another mode.
func (s *opens) leave(id uint64) {
	s.mu.Lock()
	n := s.nodes[id]
	if n == nil {
		s.mu.Unlock()
		return
	}
	n.users--
	last := n.users == 0
	if last {
		delete(s.nodes, id)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	n.mu.Lock() // nobody else has it; whoever decided did so under it
	file := n.file
	n.mu.Unlock()
	if file != nil {
		s.files.leave(file)
		return
	}
	s.files.lender.Prepare(n.obj)
}
