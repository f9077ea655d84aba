package snapshot

import (
	"context"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// cursor goes over the files in byte order of their paths. In that order a
// directory "a" stands as "a/": behind "a-b" and "a.txt", which come after it in
// the run of its parent. So directories wait, in pending, until the next name of
// the run is behind them. At most one waits for each byte of a name: a name that
// comes between "a" and "a/" begins with "a".
type cursor struct {
	s       *Snapshot
	frames  []frame
	pending []pendingDir
	names   []byte // of the pending directories
	path    []byte
	node    Node // the current file; its name is in the mapping
}

// frame is a directory that is being gone over.
type frame struct {
	run     run
	path    int // length of the path of the directory, with its '/'
	pending int // where its part of cursor.pending begins
}

type pendingDir struct {
	run  run
	name int // where its name begins in cursor.names
}

func newCursor(s *Snapshot) *cursor { return &cursor{s: s} }

// next moves to the next file; false at the end.
func (c *cursor) next() (ok bool, err error) {
	defer c.s.guard(debug.SetPanicOnFault(true), &err)
	if c.frames == nil {
		if err := c.s.node(0, &c.node); err != nil {
			return false, err
		}
		c.frames = append(c.frames, frame{run: run{0, c.node.First, c.node.First + c.node.Count}})
	}
	for len(c.frames) > 0 {
		if found, err := c.step(); found || err != nil {
			return found && err == nil, err
		}
	}
	return false, nil
}

// step takes one node of the top frame, or leaves it; true: it is a file.
func (c *cursor) step() (bool, error) {
	f := &c.frames[len(c.frames)-1]
	waiting := len(c.pending) > f.pending
	if f.run.next == f.run.end {
		if waiting {
			return false, c.enter()
		}
		c.frames = c.frames[:len(c.frames)-1]
		return false, nil
	}
	at := f.run
	if err := c.s.childNode(&at, &c.node); err != nil {
		return false, err
	}
	if waiting && comparePath(c.names[c.pending[len(c.pending)-1].name:], true, c.node.Name, c.node.Dir) < 0 {
		return false, c.enter()
	}
	f.run = at
	if c.node.Dir {
		if len(c.pending) > f.pending+pageSize {
			return false, c.s.corrupt("names are out of order")
		}
		c.pending = append(c.pending, pendingDir{run{c.node.Index, c.node.First, c.node.First + c.node.Count}, len(c.names)})
		c.names = append(c.names, c.node.Name...)
		return false, nil
	}
	c.path = append(c.path[:f.path], c.node.Name...)
	return true, nil
}

// enter goes into the directory that has waited for the shortest time.
func (c *cursor) enter() error {
	f := &c.frames[len(c.frames)-1]
	last := len(c.pending) - 1
	d := c.pending[last]
	c.path = append(append(c.path[:f.path], c.names[d.name:]...), '/')
	c.names, c.pending = c.names[:d.name], c.pending[:last]
	if len(c.frames) == maxDepth {
		return c.s.corrupt("the tree is too deep")
	}
	c.frames = append(c.frames, frame{d.run, len(c.path), last})
	return nil
}

// entry gives the current file's entry.
func (c *cursor) entry() (e manifest.Entry, err error) {
	defer c.s.guard(debug.SetPanicOnFault(true), &err)
	return c.s.entry(&c.node, c.path)
}

// appendDigest adds the current file's digest to b.
func (c *cursor) appendDigest(b []byte) (out []byte, err error) {
	defer c.s.guard(debug.SetPanicOnFault(true), &err)
	r, flags, err := c.s.blobOf(&c.node)
	if err != nil {
		return b, err
	}
	prefix, tail, err := c.s.ref(r, flags, c.path)
	if err != nil {
		return b, err
	}
	if flags>>digestShift&digestMask == digestRef {
		b = append(append(b, prefix...), tail...)
	} else {
		b = appendDigestText(b, r, flags)
	}
	if r.bad {
		return b, c.s.badBlob()
	}
	return b, nil
}

// tell gives all files to t.
func (s *Snapshot) tell(ctx context.Context, t *teller) error {
	c := newCursor(s)
	for i := 0; ; i++ {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if i%(1<<20) == 0 {
			// What was read needs not count as memory of this process.
			if err := unix.Madvise(s.data, unix.MADV_DONTNEED); err != nil {
				return err
			}
		}
		ok, err := c.next()
		if !ok || err != nil {
			return err
		}
		if err := t.file(c); err != nil {
			return err
		}
	}
}
