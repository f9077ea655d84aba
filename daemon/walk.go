package daemon

import (
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// walk finds readers that list the directories of a version in order, as find and du
// do, and has every other stripe of them listed beside the reader: then two processes
// do what nearly all of is the kernel's own work. The reader finds the others in the
// kernel's cache. It comes to a stripe's end when the next one is listed, so its own
// listings tell where it is.
type walk struct {
	used   uint64
	fronts [walkFronts]walkFront
}

// walkFront is where one reader is.
type walkFront struct {
	used  uint64 // walk's clock
	next  uint32 // the directory that is expected; 0: none
	names uint32 // of directories that came as expected
	// from and to are what is listed beside the reader, who is expected at after then.
	from, to, after uint32
}

const (
	// walkFronts are the readers that are followed at once, or the depths of one.
	walkFronts = 4
	// walkNames is how many names must have come in order: to start the process that lists
	// takes as long as some thousand more.
	walkNames = 8192
	// ownNames and besideNames say how many directories a stripe of the reader and one
	// beside it have: as many as have so many names, and stripeDirs at most. The other
	// process does nothing else meanwhile, and so gets more done.
	ownNames, besideNames = 1024, 1536
	stripeDirs            = lister.MaxRequests
	// nearDir is how far behind a directory the next one is looked for, nodes.
	nearDir = 256
)

// begins notes that directory index is being listed, and gives the front of its
// reader; nil when it follows no order, or is listed beside one.
func (w *walk) begins(s *snapshot.Snapshot, index uint32) *walkFront {
	w.used++
	oldest := &w.fronts[0]
	for i := range w.fronts {
		f := &w.fronts[i]
		switch {
		case f.from <= index && index < f.to:
			return nil
		case f.next != 0 && f.next == index, f.to != 0 && f.after == index:
			f.used, f.next = w.used, nextDir(s, index)
			if n, err := s.Stat(index); err == nil {
				f.names += n.Count
			}
			return f
		case f.used < oldest.used:
			oldest = f
		}
	}
	*oldest = walkFront{used: w.used, next: nextDir(s, index)}
	return nil
}

// nextDir gives the next directory in the order of nodes, if it is near; 0: none.
func nextDir(s *snapshot.Snapshot, index uint32) uint32 {
	for i := index + 1; i < s.Nodes() && i-index <= nearDir; i++ {
		if n, err := s.Stat(i); err != nil {
			return 0
		} else if n.Dir {
			return i
		}
	}
	return 0
}

// stripe gives the directories from index on that have most names, about.
func stripe(s *snapshot.Snapshot, index, most uint32) (dirs []uint32) {
	for names := uint32(0); index != 0 && names < most && len(dirs) < stripeDirs; index = nextDir(s, index) {
		n, err := s.Stat(index)
		if err != nil {
			return nil
		}
		names += n.Count
		dirs = append(dirs, index)
	}
	return dirs
}

// advance has the stripe listed that comes after the one that the reader begins at d.
func (f *walkFront) advance(p *pushes, d fusefs.FirstListing) {
	if f.names < walkNames || f.to != 0 && d.Index < f.after {
		return
	}
	s := d.Tree.Snapshot
	own := stripe(s, d.Index, ownNames)
	if len(own) == 0 {
		return
	}
	beside := stripe(s, nextDir(s, own[len(own)-1]), besideNames)
	if len(beside) == 0 {
		return
	}
	last := beside[len(beside)-1]
	j := &job{by: d.At}
	for _, dir := range beside {
		if at, ok := p.whole(d.At, dir); ok {
			j.places = append(j.places, at)
		}
	}
	if after := nextDir(s, last); after != 0 && len(j.places) > 0 && p.start(j) {
		f.from, f.to, f.after = beside[0], last+1, after
	}
}

// whole gives the place of all names of a directory, and of its end: only then the
// kernel has all of it.
func (p *pushes) whole(by fusefs.At, dir uint32) (fusefs.Place, bool) {
	n, err := by.Tree.Snapshot.Stat(dir)
	if err != nil || n.Count == 0 {
		return fusefs.Place{}, false
	}
	at, ok := p.place(by, n.First)
	at.From, at.Names = 0, int(n.Count)+3 // ".", "..", and more than there are
	return at, ok
}
