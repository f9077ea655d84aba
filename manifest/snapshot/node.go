package snapshot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Node is a file or directory.
type Node struct {
	// Index numbers the nodes, breadth first; the root is 0. Parent is the
	// directory it is in; the root is its own.
	Index, Parent uint32
	// Name is its last component; empty for the root. The caller may keep it.
	Name []byte
	Dir  bool
	// Shadowed: a file that a directory of the same path hides. It is in the run
	// of its parent's children, behind the directory, and nowhere else.
	Shadowed bool
	// Size is in bytes, 0 for directories. It is manifest.SizeUnknown also for a
	// reference whose manifest says 0 and is not Meta.ExactSizes, unless its digest
	// is that of no bytes; Entry gives the 0 as it is recorded, Object does not.
	Size int64
	// ModTime is in ns since 1970 UTC; 0 is not known. Times before 1678 and after
	// 2262 are clamped; Entry has them right.
	ModTime int64
	// First is the index of a directory's first child, Count the number of its
	// children: the nodes First to First+Count-1, sorted by the bytes of their
	// names, shadowed ones among them.
	First, Count uint32
	// Dirs is how many of the children are directories.
	Dirs uint32

	blob   uint64 // offset
	length uint32 // of the blob
	// chunked: the section of chunks has it.
	chunked bool
}

// Node gives node i. KindInvalid when there is none, KindCorrupt.
func (s *Snapshot) Node(i uint32) (n Node, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	if err := s.node(i, &n); err != nil {
		return Node{}, err
	}
	n.Name = bytes.Clone(n.Name)
	return n, nil
}

// Stat is Node without the name, which would be an allocation.
func (s *Snapshot) Stat(i uint32) (n Node, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	if err := s.node(i, &n); err != nil {
		return Node{}, err
	}
	n.Name = nil
	return n, nil
}

// Lookup finds a child of the directory dir; shadowed files are not found. The
// node comes without its name, which is the caller's. KindInvalid when dir is no
// directory, KindCorrupt.
func (s *Snapshot) Lookup(dir uint32, name string) (n Node, ok bool, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	var d Node
	if err := s.node(dir, &d); err != nil {
		return Node{}, false, err
	}
	if !d.Dir {
		return Node{}, false, s.notDir(dir)
	}
	if ok, err = s.child(&d, name, &n); !ok || err != nil {
		return Node{}, false, err
	}
	n.Name = nil
	return n, true, nil
}

// Find finds a path; "" is the root. Shadowed files are not found. KindCorrupt.
func (s *Snapshot) Find(path string) (n Node, ok bool, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	if err := s.node(0, &n); err != nil {
		return Node{}, false, err
	}
	for rest, more := path, path != ""; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if !n.Dir {
			return Node{}, false, nil
		}
		d := n
		if ok, err = s.child(&d, name, &n); !ok || err != nil {
			return Node{}, false, err
		}
	}
	n.Name = bytes.Clone(n.Name)
	return n, true, nil
}

// child finds name below d by halving.
func (s *Snapshot) child(d *Node, name string, n *Node) (bool, error) {
	lo, hi := uint32(0), d.Count
	for lo < hi {
		mid := lo + (hi-lo)/2
		at, err := s.name(d.First + mid)
		if err != nil {
			return false, err
		}
		if string(at) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == d.Count {
		return false, nil
	}
	if err := s.node(d.First+lo, n); err != nil {
		return false, err
	}
	if n.Parent != d.Index {
		return false, s.corrupt("a directory has the children of another")
	}
	return string(n.Name) == name && !n.Shadowed, nil
}

// record gives the 40 bytes of node i.
func (s *Snapshot) record(i uint32) ([]byte, error) {
	if uint64(i) >= s.h.nodes {
		return nil, s.invalid(fmt.Sprintf("there is no node %d", i))
	}
	return s.section(sectionNodes, uint64(i)*nodeSize, nodeSize)
}

func (s *Snapshot) invalid(msg string) error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "read snapshot", Ref: s.path, Msg: msg}
}

func (s *Snapshot) notDir(i uint32) error {
	return s.invalid(fmt.Sprintf("node %d is no directory", i))
}

// name gives the name of node i, in the mapping.
func (s *Snapshot) name(i uint32) ([]byte, error) {
	r, err := s.record(i)
	if err != nil {
		return nil, err
	}
	return s.section(sectionNames, uint40(r[16:]), uint64(r[21]))
}

// node fills n; its name is in the mapping.
func (s *Snapshot) node(i uint32, n *Node) error {
	r, err := s.record(i)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	*n = Node{Index: i, Parent: le.Uint32(r[24:])}
	if n.Name, err = s.section(sectionNames, uint40(r[16:]), uint64(r[21])); err != nil {
		return err
	}
	if !goodName(n.Name, i) || (n.Parent >= i && i > 0) || (n.Parent > 0 && i == 0) {
		return s.corrupt("a node has a bad name or parent")
	}
	if r[22]&flagDir == 0 {
		s.fileNode(r, n)
	} else {
		n.Dir = true
		n.First, n.Count, n.Dirs = le.Uint32(r), le.Uint32(r[4:]), le.Uint32(r[28:])
		if n.Count > 0 && (n.First <= i || uint64(n.First)+uint64(n.Count) > s.h.nodes) {
			return s.corrupt("a directory has children that can't be")
		}
	}
	if i == 0 && !n.Dir {
		return s.corrupt("the root is no directory")
	}
	return nil
}

func (s *Snapshot) fileNode(r []byte, n *Node) {
	le := binary.LittleEndian
	n.Shadowed = r[22]&flagShadowed != 0
	n.Size = int64(le.Uint64(r))
	if r[22]&flagUnknownSize != 0 {
		n.Size = manifest.SizeUnknown
	}
	n.ModTime = int64(le.Uint64(r[8:]))
	n.chunked = r[22]&flagChunks != 0
	n.length, n.blob = le.Uint32(r[28:]), le.Uint64(r[32:])
}

// goodName keeps out what no path holds, should somebody forge a file.
func goodName(name []byte, i uint32) bool {
	if i == 0 {
		return len(name) == 0
	}
	switch len(name) {
	case 0:
		return false
	case 1:
		return name[0] != '.' && name[0] != '/' && name[0] != 0
	case 2:
		if name[0] == '.' && name[1] == '.' {
			return false
		}
	}
	return bytes.IndexByte(name, '/') < 0 && bytes.IndexByte(name, 0) < 0
}

// Path gives the path of node i; "" for the root. KindInvalid, KindCorrupt.
func (s *Snapshot) Path(i uint32) (path string, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	raw, err := s.appendPath(nil, i)
	return string(raw), err
}

// appendPath puts the path of node i behind b.
func (s *Snapshot) appendPath(b []byte, i uint32) ([]byte, error) {
	var buf [pageSize]byte // filled from its end: no path is longer
	from := len(buf)
	var n Node
	for at := i; at != 0; at = n.Parent {
		if err := s.node(at, &n); err != nil {
			return b, err
		}
		if from < len(buf) {
			from--
			buf[from] = '/'
		}
		if len(n.Name) >= from {
			return b, s.corrupt("a path is too long")
		}
		from -= copy(buf[from-len(n.Name):], n.Name)
	}
	return append(b, buf[from:]...), nil
}
