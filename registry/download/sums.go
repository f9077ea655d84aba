package download

import (
	"fmt"
	"hash"
	"io"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// checker hashes a whole content by all algorithms for which a sum is known, and
// compares its chunks as they come.
type checker struct {
	op     string
	obj    manifest.Object
	chunks *chunks.Checker // nil: none are recorded
	sums   []manifest.Sum
	hashes []hash.Hash
}

var _ io.Writer = (*checker)(nil)

// newChecker takes what the manifest records, which goes above all, and the sums
// that the source tells, each algorithm once.
func newChecker(obj manifest.Object, told []manifest.Sum) *checker {
	c := &checker{op: "get", obj: obj}
	if obj.Chunks.Size > 0 {
		c.chunks = chunks.NewChecker(c.op, obj)
	}
	for _, sum := range append(recordedSums(obj), told...) {
		c.add(sum)
	}
	return c
}

// recordedSums gives all checksums that the manifest records, the strongest first.
func recordedSums(obj manifest.Object) []manifest.Sum {
	sums := obj.Sums()
	if sum, ok := obj.Sum(); ok {
		sums = append([]manifest.Sum{sum}, sums...)
	}
	return sums
}

func (c *checker) add(sum manifest.Sum) {
	for _, have := range c.sums {
		if have.Alg == sum.Alg {
			return
		}
	}
	if h := sum.Alg.New(); h != nil {
		c.sums, c.hashes = append(c.sums, sum), append(c.hashes, h)
	}
}

// able tells whether anything is known to check a content by.
func (c *checker) able() bool { return len(c.sums) > 0 || c.chunks != nil }

// Write fails as soon as a chunk is another.
func (c *checker) Write(p []byte) (int, error) {
	if c.chunks != nil {
		if n, err := c.chunks.Write(p); err != nil {
			return n, err
		}
	}
	for _, h := range c.hashes {
		h.Write(p)
	}
	return len(p), nil
}

// check compares what was written with what is known.
func (c *checker) check() error {
	if c.chunks != nil {
		if err := c.chunks.End(); err != nil {
			return err
		}
	}
	for i, sum := range c.sums {
		if err := c.obj.CheckSum(c.op, sum, c.hashes[i].Sum(nil)); err != nil {
			return err
		}
	}
	return nil
}

// wrongSize is the error of a content of another length than recorded or told.
func wrongSize(obj manifest.Object, want, got int64) error { return sizeError("get", obj, want, got) }

func sizeError(op string, obj manifest.Object, want, got int64) error {
	return &manifest.Error{
		Kind: manifest.KindCorrupt, Op: op, Ref: obj.Ref,
		Expected: fmt.Sprintf("%d bytes", want), Found: fmt.Sprintf("%d bytes", got),
	}
}
