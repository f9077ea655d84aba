package fusefs

import "github.com/hanwen/go-fuse/v2/fuse"

// answer is what a READ got: head, and behind it tail, which is lent until done. The
// kernel copies it from where it is.
type answer struct {
	head, tail []byte
	done       func() // nil: nothing was lent
}

var _ fuse.ReadResult = (*answer)(nil)

// Slices gives the bytes to writev.
func (a *answer) Slices() ([][]byte, fuse.Status) {
	return [][]byte{a.head, a.tail}, fuse.OK
}

// Size is how many bytes there are.
func (a *answer) Size() int { return len(a.head) + len(a.tail) }

// Bytes gives them in one piece. Head is the beginning of buf, as Read got it.
func (a *answer) Bytes(buf []byte) ([]byte, fuse.Status) {
	return append(append(buf[:0], a.head...), a.tail...), fuse.OK
}

// Done gives back what was lent.
func (a *answer) Done() {
	if a.done != nil {
		a.done()
		a.done = nil
	}
}
