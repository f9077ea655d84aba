package download

import (
	"fmt"
	"hash"
	"io"

	"github.com/pinfs/pinfs/manifest"
)

// checker hashes a whole content by all algorithms for which a sum is known.
type checker struct {
	obj    manifest.Object
	sums   []manifest.Sum
	hashes []hash.Hash
}

var _ io.Writer = (*checker)(nil)

// newChecker takes the sum that the manifest records, which goes above all, and
// those that the source tells, each algorithm once.
func newChecker(obj manifest.Object, told []manifest.Sum) *checker {
	c := &checker{obj: obj}
	if sum, ok := obj.Sum(); ok {
		c.add(sum)
	}
	for _, sum := range told {
		c.add(sum)
	}
	return c
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
func (c *checker) able() bool { return len(c.sums) > 0 }

// Write never fails.
func (c *checker) Write(p []byte) (int, error) {
	for _, h := range c.hashes {
		h.Write(p)
	}
	return len(p), nil
}

// check compares what was written with the sums.
func (c *checker) check() error {
	for i, sum := range c.sums {
		if err := c.obj.CheckSum("get", sum, c.hashes[i].Sum(nil)); err != nil {
			return err
		}
	}
	return nil
}

// wrongSize is the error of a content of another length than recorded or told.
func wrongSize(obj manifest.Object, want, got int64) error {
	return &manifest.Error{
		Kind: manifest.KindCorrupt, Op: "get", Ref: obj.Ref,
		Expected: fmt.Sprintf("%d bytes", want), Found: fmt.Sprintf("%d bytes", got),
	}
}
