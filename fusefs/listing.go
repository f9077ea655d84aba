package fusefs

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxListings bounds how many open directories keep their list; the others ask
// Names again for each buffer that they read.
const maxListings = 256

// listings holds the lists of names that open directories are reading.
type listings struct {
	mu   sync.Mutex // guards all below
	last uint64
	list map[uint64][]listedName
}

// listedName is an entry of a list of names. Its cookie is a hash of the name,
// and lists are sorted by it: an offset stays right while names come and go,
// also in a process that takes the mount over in the middle of a listing.
type listedName struct {
	name   string
	mode   uint32
	ino    uint64
	cookie uint64
}

// handle gives a number for an open directory. Numbers of a process that had the
// mount before don't come again, since they begin with the time.
func (l *listings) handle() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last+1, uint64(time.Now().UnixNano()))
	return l.last
}

func (l *listings) drop(fh uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, fh)
}

func (l *listings) get(fh uint64) ([]listedName, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, ok := l.list[fh]
	return names, ok
}

func (l *listings) put(fh uint64, names []listedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[uint64][]listedName{}
	}
	if _, ok := l.list[fh]; ok || len(l.list) < maxListings {
		l.list[fh] = names
	}
}

// readNames lists projects, or versions and aliases. Offset 0 asks anew, so that
// rewinding shows what is there now.
func (f *fileSystem) readNames(cancel <-chan struct{}, in *fuse.ReadIn, w dirWriter, n node, s Slot) fuse.Status {
	if s.Kind == SlotAlias {
		return fuse.ENOTDIR
	}
	names, ok := f.listings.get(in.Fh)
	if !ok || in.Offset == 0 {
		ctx, stop := f.namesContext(cancel, &in.InHeader)
		defer stop()
		var err error
		if names, err = f.list(ctx, s); err != nil {
			return f.fail(s.path(""), settle(ctx, err))
		}
		f.listings.put(in.Fh, names)
	}
	if in.Offset < 2 && !w.dots(f.id(n), fuse.FUSE_ROOT_ID, in.Offset) {
		return fuse.OK
	}
	first, _ := slices.BinarySearchFunc(names, in.Offset+1, func(e listedName, c uint64) int { return cmp.Compare(e.cookie, c) })
	for _, e := range names[first:] {
		if !w.name(fuse.DirEntry{Name: e.name, Mode: e.mode, Ino: e.ino, Off: e.cookie}) {
			break
		}
	}
	return fuse.OK
}

// list asks Names and sorts by cookie.
func (f *fileSystem) list(ctx context.Context, s Slot) ([]listedName, error) {
	var names []listedName
	var err error
	if s.Kind == SlotProjects {
		names, err = f.listProjects(ctx)
	} else {
		names, err = f.listProject(ctx, s.Project)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, func(a, b listedName) int {
		return cmp.Or(cmp.Compare(a.cookie, b.cookie), cmp.Compare(a.name, b.name))
	})
	return names, nil
}

func (f *fileSystem) listProjects(ctx context.Context) ([]listedName, error) {
	projects, err := f.o.Names.Projects(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]listedName, 0, len(projects))
	for _, p := range projects {
		names = append(names, listedName{p, dirMode, f.knownID(SlotProject, p, ""), cookie(p)})
	}
	return names, nil
}

func (f *fileSystem) listProject(ctx context.Context, project string) ([]listedName, error) {
	listed, err := f.o.Names.Tree(ctx, project)
	if err != nil {
		return nil, err
	}
	names := make([]listedName, 0, len(listed))
	for _, l := range listed {
		mode, kind := uint32(dirMode), SlotVersion
		if l.Target != "" {
			mode, kind = linkMode, SlotAlias
		}
		names = append(names, listedName{l.Name, mode, f.knownID(kind, project, l.Name), cookie(l.Name)})
	}
	return names, nil
}

// knownID gives the id of a name that was looked up before, else 0 (unknown).
func (f *fileSystem) knownID(kind SlotKind, project, name string) uint64 {
	slot, ok := f.o.Slots.Latest(kind, project, name)
	if !ok {
		return 0
	}
	return f.id(node{slot: slot})
}

// cookie gives the offset after a name: a hash of 63 bits, above those of dots.
func cookie(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return max(h.Sum64()>>1, 3)
}
