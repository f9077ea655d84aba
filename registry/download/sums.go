package download

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/pinfs/pinfs/manifest"
)

// nvmePolynomial is that of CRC-64/NVME, reflected as hash/crc64 wants it. Check
// value of "123456789": ae8b14860a799888 (NVM Express NVM Command Set
// Specification 1.0d, section 5.2.1.3.4).
const nvmePolynomial = 0x9a6c9329ac4bc9b5

// newHash gives the hash of an algorithm; nil for one that isn't known.
func newHash(alg manifest.SumAlg) hash.Hash {
	switch alg {
	case manifest.SumMD5:
		return md5.New()
	case manifest.SumSHA256:
		return sha256.New()
	case manifest.SumCRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case manifest.SumCRC64NVME:
		return crc64.New(crc64.MakeTable(nvmePolynomial))
	}
	return nil
}

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
	if h := newHash(sum.Alg); h != nil {
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
		if got := c.hashes[i].Sum(nil); !bytes.Equal(got, sum.Value) {
			return c.mismatch(sum, got)
		}
	}
	return nil
}

func (c *checker) mismatch(sum manifest.Sum, got []byte) error {
	if manifest.Scheme(c.obj.Ref) == "file" && sum.Alg == manifest.SumMD5 {
		return manifest.LocalMismatch("get", c.obj.Ref, c.obj.Digest, base64.StdEncoding.EncodeToString(got))
	}
	return &manifest.Error{
		Kind: manifest.KindCorrupt, Op: "get", Ref: c.obj.Ref,
		Expected: string(sum.Alg) + ":" + hex.EncodeToString(sum.Value), Found: string(sum.Alg) + ":" + hex.EncodeToString(got),
	}
}

// wrongSize is the error of a content of another length than recorded or told.
func wrongSize(obj manifest.Object, want, got int64) error {
	return &manifest.Error{
		Kind: manifest.KindCorrupt, Op: "get", Ref: obj.Ref,
		Expected: fmt.Sprintf("%d bytes", want), Found: fmt.Sprintf("%d bytes", got),
	}
}
