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
	epoch uint64 // of this mount, in the handles' numbers; the lowest bit is free

	mu    sync.Mutex // guards nodes, table and openNode.users; held while nothing else is taken
	table *openTable
	nodes map[uint64]*openNode
}

// openNode is a file that is open, or being opened.
type openNode struct {
	users int
	place int32 // in the table

	mu      sync.Mutex // held while the mode is decided
	decided bool
	obj     manifest.Object
	file    *backing // nil: ordinary
}

// handlePassthrough marks the number of a handle; see opens.epoch.
const handlePassthrough = 1

func newOpens(files *backings, epoch uint64) *opens {
	return &opens{files: files, epoch: epoch, table: files.table, nodes: map[uint64]*openNode{}}
}

// startOpens decides how files are opened, as soon as the kernel has said what it
// can do. It does not change while the mount lives: who takes it over does as st says.
func (f *fileSystem) startOpens(server *fuse.Server, st *MountState) {
	taken := len(st.Init) > 0
	want := f.o.Open
	if taken {
		want = st.Open
	}
	if want != OpenPassthrough {
		st.Open = OpenStateless
		return
	}
	lender, ok := f.o.Content.(Lender)
	switch {
	case server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0:
		f.noPassthrough = "the kernel has no FUSE passthrough (Linux 6.9)"
	case !ok:
		f.noPassthrough = "nothing here has files to pass through"
	case !taken:
		f.noPassthrough = probe(server, lender)
	}
	if f.noPassthrough == "" {
		if !taken {
			st.Open, st.Epoch = OpenPassthrough, rand.Uint64()&^handlePassthrough
		}
		f.passOpens(server, lender, st.Epoch)
		return
	}
	if !taken {
		st.Open = OpenStateless
	}
	f.o.Logger.Warn("no passthrough, files are opened stateless", "reason", f.noPassthrough)
}

// passOpens answers opens from now on, and goes on with those that the table has.
func (f *fileSystem) passOpens(server *fuse.Server, lender Lender, epoch uint64) {
	files := newBackings(server, lender, f.o.Logger)
	if f.memory != nil {
		files.table = newOpenTable(&f.memory.opens)
	}
	f.opens = newOpens(files, epoch)
	f.opens.adopt(f.objectOf)
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
	file := f.opens.enter(in.NodeId, in.Unique, obj)
	out.Fh, out.OpenFlags = f.opens.epoch, fuse.FOPEN_KEEP_CACHE|fuse.FOPEN_NOFLUSH
	if file == nil {
		return fuse.OK
	}
	if err := file.ready(ctx); err != nil {
		f.opens.undo(in.NodeId, in.Unique)
		return f.faults.report(held.path(rec), obj, settle(ctx, err))
	}
	out.Fh |= handlePassthrough
	out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH|fuse.FOPEN_NOFLUSH, file.id
	return fuse.OK
}

// Release ends a handle.
func (f *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f.count.open.Add(1)
	if f.opens != nil && in.Fh&^handlePassthrough == f.opens.epoch {
		f.opens.release(in.NodeId, in.Unique)
	}
}

// Flush is the other half of a stateless Open.
func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status {
	f.count.open.Add(1)
	return fuse.ENOSYS
}

// enter counts a handle of a node, and gives the file that the kernel is to read;
// nil when it is to ask. unique is the number of the request.
func (s *opens) enter(id, unique uint64, obj manifest.Object) *backing {
	s.mu.Lock()
	n, counted := s.nodes[id], s.table.counted(unique)
	switch {
	case n == nil:
		n = &openNode{obj: obj, users: 1, place: s.table.enter(id)}
		s.nodes[id] = n
	case !counted:
		n.users++
		s.table.handles(n.place, n.users)
	}
	s.table.note(unique)
	s.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.decided {
		return n.file
	}
	n.file, n.decided = s.files.take(obj), true
	mode := int32(modeOrdinary)
	if n.file != nil {
		mode = n.file.id
	}
	s.table.decide(n.place, mode)
	return n.file
}

// undo ends a handle that the kernel will not have.
func (s *opens) undo(id, unique uint64) {
	s.mu.Lock()
	s.table.forget(unique)
	s.leave(id)
}

// release ends a handle that the kernel has ended.
func (s *opens) release(id, unique uint64) {
	s.mu.Lock()
	if s.table.counted(unique) {
		s.mu.Unlock()
		return
	}
	s.table.note(unique)
	s.leave(id)
}

// leave ends a handle. The last one frees the node for another mode. It unlocks mu.
func (s *opens) leave(id uint64) {
	n := s.nodes[id]
	if n == nil {
		s.mu.Unlock()
		return
	}
	n.users--
	s.table.handles(n.place, n.users)
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
