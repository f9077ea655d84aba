package chunks

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"github.com/pinfs/pinfs/manifest"
)

// Check compares chunk i of o with its recorded digest; o has chunks. The error
// is KindCorrupt and names the reference, the chunk, expected and found.
func Check(op string, o manifest.Object, i int64, chunk []byte) error {
	return compare(op, o, i, int64(len(chunk)), Digest(chunk))
}

func compare(op string, o manifest.Object, i, length int64, found [DigestSize]byte) error {
	want, ok := at(o.Chunks, i)
	if ok && want == string(found[:]) {
		return nil
	}
	e := &manifest.Error{
		Kind: manifest.KindCorrupt, Op: op, Ref: o.Ref, Expected: "no such chunk", Found: hex.EncodeToString(found[:]),
		Msg: fmt.Sprintf("chunk %d (bytes %d to %d) has another BLAKE3", i, i*o.Chunks.Size, i*o.Chunks.Size+length),
	}
	if ok {
		e.Expected = hex.EncodeToString([]byte(want))
	}
	return e
}

// at gives the digest of chunk i.
func at(c manifest.Chunks, i int64) (string, bool) {
	if i < 0 || i >= int64(len(c.Digests))/DigestSize {
		return "", false
	}
	return c.Digests[i*DigestSize : (i+1)*DigestSize], true
}

// Checker compares a content that is written to it, from its first byte on, with
// the chunks of an object. It keeps none of it, and belongs to one goroutine.
type Checker struct {
	op   string
	o    manifest.Object
	h    *blake3.Hasher
	i    int64 // the chunk that is under way
	in   int64 // bytes of it
	fail error
}

var _ io.Writer = (*Checker)(nil)

// NewChecker makes a Checker for the content of o, which has chunks; op is what
// its errors say was done.
func NewChecker(op string, o manifest.Object) *Checker {
	return &Checker{op: op, o: o, h: blake3.New()}
}

// Write takes the next bytes. It fails with what Check says as soon as a chunk
// ends that is another, and ever after.
func (c *Checker) Write(p []byte) (n int, err error) {
	for len(p) > 0 && c.fail == nil {
		part := p[:min(int64(len(p)), c.o.Chunks.Size-c.in)]
		_, _ = c.h.Write(part) // it never fails
		n, p = n+len(part), p[len(part):]
		if c.in += int64(len(part)); c.in == c.o.Chunks.Size {
			c.end()
		}
	}
	return n, c.fail
}

func (c *Checker) end() {
	var found [DigestSize]byte
	c.h.Sum(found[:0])
	c.fail = compare(c.op, c.o, c.i, c.in, found)
	c.h.Reset()
	c.i, c.in = c.i+1, 0
}

// End checks the last chunk, and that none is missing: nil when all that was
// written is the recorded content.
func (c *Checker) End() error {
	if c.fail == nil && c.in > 0 {
		c.end()
	}
	if want := int64(len(c.o.Chunks.Digests)) / DigestSize; c.fail == nil && c.i < want {
		c.fail = &manifest.Error{
			Kind: manifest.KindCorrupt, Op: c.op, Ref: c.o.Ref, Msg: "the content ended early",
			Expected: fmt.Sprintf("%d chunks", want), Found: fmt.Sprintf("%d chunks", c.i),
		}
	}
	return c.fail
}
