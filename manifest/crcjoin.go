package manifest

import "hash/crc32"

// Joiner gives the checksum of two contents, one behind the other, from theirs: b is of
// n bytes. A CRC is linear over GF(2): a is moved on by n bytes of zeros, which is a
// multiplication by x^8n modulo the polynomial, and b is added. Not for many
// goroutines at once.
type Joiner interface {
	Join(a, b uint64, n int64) uint64
}

var (
	_ Joiner = (*joiner[uint32])(nil)
	_ Joiner = (*joiner[uint64])(nil)
)

// Joiner is what joins checksums of the algorithm, as numbers; nil for one whose
// checksums can't be joined. Those of the empty content are 0.
func (a SumAlg) Joiner() Joiner {
	switch a {
	case SumCRC32:
		return &joiner[uint32]{polynomial: crc32.IEEE}
	case SumCRC32C:
		return &joiner[uint32]{polynomial: crc32.Castagnoli}
	case SumCRC64NVME:
		return &joiner[uint64]{polynomial: nvmePolynomial}
	}
	return nil
}

// joiner remembers how far it moved last: contents come in pieces of one length.
// Polynomials are reflected, so that the highest bit is x^0.
type joiner[T uint32 | uint64] struct {
	polynomial T
	n          int64
	power      T // x^8n
}

// Join makes one checksum of two.
func (j *joiner[T]) Join(a, b uint64, n int64) uint64 {
	if j.power == 0 || j.n != n {
		j.n, j.power = n, j.raise(8*n)
	}
	return uint64(j.multiply(j.power, T(a)) ^ T(b))
}

// raise gives x^n, by squaring.
func (j *joiner[T]) raise(n int64) T {
	p := highest[T]()
	for x := p >> 1; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = j.multiply(p, x)
		}
		x = j.multiply(x, x)
	}
	return p
}

func (j *joiner[T]) multiply(a, b T) (p T) {
	for m := highest[T](); m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = b>>1 ^ j.polynomial&-(b&1)
	}
	return p
}

func highest[T uint32 | uint64]() T { return ^(^T(0) >> 1) }
