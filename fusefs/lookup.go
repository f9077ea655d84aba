package fusefs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// maxName is the longest name of a file in bytes, as on other file systems.
const maxName = 255

// Lookup finds a name in a directory.
func (f *fileSystem) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	f.count.lookup.Add(1)
	if len(name) > maxName {
		return fuse.Status(syscall.ENAMETOOLONG)
	}
	n, s, err := f.slotOf(h.NodeId)
	if err != nil {
		return f.fail(name, err)
	}
	switch s.Kind {
	case SlotVersion:
		return f.lookupFile(cancel, h, n, s, name, out)
	case SlotProjects, SlotProject:
		return f.lookupName(cancel, h, s, name, out)
	}
	return fuse.ENOTDIR
}

// lookupFile finds a file or directory of a version. That a name is missing is
// as pinned as the rest: the kernel keeps it.
func (f *fileSystem) lookupFile(cancel <-chan struct{}, h *fuse.InHeader, n node, s Slot, name string, out *fuse.EntryOut) fuse.Status {
	held, err := f.tree(cancel, h, n, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, ok, err := held.tree.Snapshot.Lookup(n.index, name)
	if err != nil {
		return f.fail(s.path(name), err)
	}
	out.EntryValid = forever
	if !ok {
		return fuse.OK
	}
	out.NodeId, out.AttrValid = f.id(node{n.slot, rec.Index}), forever
	f.looked.note(out.NodeId)
	return f.nodeAttr(cancel, h, &out.Attr, held, &rec)
}

// lookupName finds a project, or a version or alias of project dir.Project.
func (f *fileSystem) lookupName(cancel <-chan struct{}, h *fuse.InHeader, dir Slot, name string, out *fuse.EntryOut) fuse.Status {
	ctx, stop := f.namesContext(cancel, h)
	defer stop()
	s, err := f.findName(ctx, dir, name)
	if err != nil {
		if isNoName(err) {
			return fuse.ENOENT
		}
		return f.fail(dir.path(name), settle(ctx, err))
	}
	slot, err := f.o.Slots.Number(s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	n := node{slot: slot}
	out.NodeId, out.EntryValid, out.AttrValid = f.id(n), nameValid, nameValid
	if s.Kind != SlotVersion {
		f.nameAttr(&out.Attr, n, s)
		return fuse.OK
	}
	out.AttrValid = forever
	return f.versionAttr(ctx, &out.Attr, n, s)
}

// versionAttr fills in the attributes of a version's root.
func (f *fileSystem) versionAttr(ctx context.Context, a *fuse.Attr, n node, s Slot) fuse.Status {
	held, err := f.trees.acquire(ctx, n.slot, s)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Stat(0)
	if err != nil {
		return f.fail(s.path(""), err)
	}
	f.fillNode(a, held, &rec, 0)
	return fuse.OK
}

// findName gives the slot that a name stands for now. When the registry can't
// be asked it is the one that the name stood for last: what is in use goes on.
func (f *fileSystem) findName(ctx context.Context, dir Slot, name string) (Slot, error) {
	if dir.Kind == SlotProjects {
		return f.findProject(ctx, name)
	}
	if !strings.Contains(name, ":") {
		return Slot{}, errNoName // spares the registry .git, .hidden, desktop.ini …
	}
	l, err := f.o.Names.Lookup(ctx, dir.Project, name)
	if err != nil {
		if s, ok := f.lastKnown(dir.Project, name); ok && isOutage(err) {
			return s, nil
		}
		return Slot{}, err
	}
	if l.Target != "" {
		return Slot{Kind: SlotAlias, Project: dir.Project, Name: name, Target: l.Target}, nil
	}
	return Slot{Kind: SlotVersion, Project: dir.Project, Name: name, Digest: l.Digest}, nil
}

func (f *fileSystem) findProject(ctx context.Context, name string) (Slot, error) {
	s := Slot{Kind: SlotProject, Project: name}
	if manifest.CheckProject(name) != nil {
		return s, errNoName
	}
	list, err := f.o.Names.Projects(ctx)
	if err != nil {
		if _, ok := f.o.Slots.Find(s); ok && isOutage(err) {
			return s, nil
		}
		return s, err
	}
	if !slices.Contains(list, name) {
		return s, errNoName
	}
	return s, nil
}

func (f *fileSystem) lastKnown(project, name string) (Slot, bool) {
	for _, kind := range []SlotKind{SlotAlias, SlotVersion} {
		if n, ok := f.o.Slots.Latest(kind, project, name); ok {
			return f.o.Slots.Slot(n)
		}
	}
	return Slot{}, false
}

// errNoName is for names that need no registry to be refused.
var errNoName = &manifest.Error{Kind: manifest.KindNotFound, Op: "look up"}

func isNoName(err error) bool {
	kind := manifest.KindOf(err)
	return kind == manifest.KindNotFound || kind == manifest.KindInvalid
}

// isOutage tells whether an error is about the way to the registry.
func isOutage(err error) bool {
	switch manifest.KindOf(err) {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindDenied:
		return true
	}
	return false
}

// Readlink gives the target of an alias, a name in the same directory.
func (f *fileSystem) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	f.count.readlink.Add(1)
	_, s, err := f.slotOf(h.NodeId)
	if err != nil {
		return nil, f.fail("", err)
	}
	if s.Kind != SlotAlias {
		return nil, fuse.EINVAL
	}
	return []byte(s.Target), fuse.OK
}
