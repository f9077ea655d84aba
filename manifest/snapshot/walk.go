package snapshot

import (
	"bytes"
	"iter"
	"runtime/debug"

	"github.com/pinfs/pinfs/manifest"
)

// Walk gives what is below the directory dir, depth first, each directory before
// its children, siblings in the order of the bytes of their names; neither dir
// itself nor shadowed files. An error is given last: KindInvalid when dir is no
// directory, KindCorrupt.
func (s *Snapshot) Walk(dir uint32) iter.Seq2[Node, error] {
	return func(yield func(Node, error) bool) {
		w := &walker{s: s}
		for err := w.start(dir); ; {
			var n Node
			ok := false
			if err == nil {
				n, ok, err = w.next()
			}
			if err != nil {
				yield(Node{}, err)
				return
			}
			if !ok || !yield(n, nil) {
				return
			}
		}
	}
}

// walker keeps the runs of children that are not walked to their end.
type walker struct {
	s     *Snapshot
	stack []run
	names []byte // room for the names of many nodes: one allocation for all
}

// run is a part of a directory's children.
type run struct{ dir, next, end uint32 }

func (w *walker) start(dir uint32) (err error) {
	defer w.s.guard(debug.SetPanicOnFault(true), &err)
	var n Node
	if err := w.s.node(dir, &n); err != nil {
		return err
	}
	if !n.Dir {
		return w.s.notDir(dir)
	}
	w.stack = append(w.stack, run{dir, n.First, n.First + n.Count})
	return nil
}

// next gives the next node; false at the end.
func (w *walker) next() (n Node, ok bool, err error) {
	defer w.s.guard(debug.SetPanicOnFault(true), &err)
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if top.next == top.end {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		if err := w.s.childNode(top, &n); err != nil {
			return Node{}, false, err
		}
		if n.Shadowed {
			continue
		}
		if n.Dir {
			if len(w.stack) == maxDepth {
				return Node{}, false, w.s.corrupt("the tree is too deep")
			}
			w.stack = append(w.stack, run{n.Index, n.First, n.First + n.Count})
		}
		n.Name = w.keep(n.Name)
		return n, true, nil
	}
	return Node{}, false, nil
}

// Children calls fn for children of the directory dir from the from-th on,
// shadowed files too, until it gives false. It is Node for many at the cost of
// one, without allocations: the node and its name are good during the call only,
// and a fault of the file can end a call of fn at any place where it reads the
// name. KindInvalid when dir is no directory, KindCorrupt.
func (s *Snapshot) Children(dir, from uint32, fn func(n *Node) bool) (err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	var n Node
	if err := s.node(dir, &n); err != nil {
		return err
	}
	if !n.Dir {
		return s.notDir(dir)
	}
	r := run{dir, n.First + min(from, n.Count), n.First + n.Count}
	for r.next < r.end {
		if err := s.childNode(&r, &n); err != nil {
			return err
		}
		if !fn(&n) {
			return nil
		}
	}
	return nil
}

// childNode gives the next node of r. That its parent is r's directory makes every
// walk a tree, whatever the file holds.
func (s *Snapshot) childNode(r *run, n *Node) error {
	if err := s.node(r.next, n); err != nil {
		return err
	}
	if n.Parent != r.dir {
		return s.corrupt("a directory has the children of another")
	}
	r.next++
	return nil
}

// keep copies a name out of the mapping.
func (w *walker) keep(name []byte) []byte {
	if cap(w.names)-len(w.names) < len(name) {
		w.names = make([]byte, 0, 2048)
	}
	at := len(w.names)
	w.names = append(w.names, name...)
	return w.names[at:len(w.names):len(w.names)]
}

// Entries gives all entries, shadowed ones too, in byte order of their paths: the
// order of the artifact digest. An error (KindCorrupt) is given last.
func (s *Snapshot) Entries() iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for c := newCursor(s); ; {
			ok, err := c.next()
			var e manifest.Entry
			if ok && err == nil {
				e, err = c.entry()
			}
			if err != nil {
				yield(manifest.Entry{}, err)
				return
			}
			if !ok || !yield(e, nil) {
				return
			}
		}
	}
}

// comparePath orders a name as it stands in whole paths: a '/' behind a directory.
func comparePath(a []byte, aDir bool, b []byte, bDir bool) int {
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return nextByte(a, aDir, n) - nextByte(b, bDir, n)
}

// nextByte is the byte at n, '/' at the end of a directory, -1 of a file.
func nextByte(name []byte, dir bool, n int) int {
	switch {
	case n < len(name):
		return int(name[n])
	case dir:
		return '/'
	}
	return -1
}
