package download

import (
	"context"
	"hash"
	"io"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// read reads the content of obj at its pin, and checks it by one thing that is
// recorded of it: that of the strongest kind.
func (v *verifier) read(ctx context.Context, obj manifest.Object) (f finding) {
	pin := checkName(obj.Pin.Kind)
	body, info, err := v.o.Backend.Open(ctx, obj, 0, -1)
	if err != nil {
		f.fail(pin, err)
		return f
	}
	defer body.Close()
	if obj.Pin.Kind != manifest.PinMD5 { // else the content shows it
		f.ok(pin)
	}
	if f.compare(obj, info.Sums); f.err != nil {
		return f
	}
	c := newContentCheck(obj, info.Sums)
	buf := v.buffers.Get().(*[bufferSize]byte)
	defer v.buffers.Put(buf)
	f.read, err = io.CopyBuffer(counted{c, v.meter}, onlyReader{ctx, body}, buf[:])
	switch {
	case err != nil && c.failed:
		f.fail(c.name, err)
		return f
	case err != nil: // perhaps only the first Read told that it is another version
		f.right = nil
		f.fail(pin, err)
		return f
	}
	for _, want := range []int64{obj.Size, info.Size} {
		if want >= 0 && want != f.read {
			f.fail(CheckSize, sizeError(verifying, obj, want, f.read))
			return f
		}
	}
	if err := c.end(); err != nil {
		f.fail(c.name, err)
		return f
	}
	f.ok(c.name)
	return f
}

// contentCheck checks a content by its chunks, or a checksum of the whole.
type contentCheck struct {
	name   string
	failed bool
	obj    manifest.Object
	chunks *chunks.Checker
	sum    manifest.Sum
	h      hash.Hash
}

var _ io.Writer = (*contentCheck)(nil)

// newContentCheck takes the strongest that is recorded, else what the source tells.
func newContentCheck(obj manifest.Object, told []manifest.Sum) *contentCheck {
	c := &contentCheck{name: CheckSize, obj: obj}
	if obj.Chunks.Size > 0 {
		c.name, c.chunks = CheckChunks, chunks.NewChecker(verifying, obj)
		return c
	}
	for _, sum := range append(recordedSums(obj), told...) {
		if h := sum.Alg.New(); h != nil && h.Size() == len(sum.Value) {
			c.name, c.sum, c.h = string(sum.Alg), sum, h
			return c
		}
	}
	return c
}

// Write fails as soon as a chunk is another.
func (c *contentCheck) Write(p []byte) (int, error) {
	switch {
	case c.chunks != nil:
		n, err := c.chunks.Write(p)
		c.failed = err != nil
		return n, err
	case c.h != nil:
		return c.h.Write(p)
	}
	return len(p), nil
}

// end compares all that was written.
func (c *contentCheck) end() error {
	switch {
	case c.chunks != nil:
		return c.chunks.End()
	case c.h != nil:
		return c.obj.CheckSum(verifying, c.sum, c.h.Sum(nil))
	}
	return nil
}
