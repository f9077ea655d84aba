package manifest

// MulCRC multiplies two polynomials modulo that of a CRC; bits are reflected, so that
// the highest one is x^0. A CRC times x^8n is that of n bytes of zeros behind its own.
func MulCRC[T uint32 | uint64](polynomial, a, b T) (p T) {
	for m := highest[T](); m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = b>>1 ^ polynomial&-(b&1)
	}
	return p
}

// PowerCRC gives x^n modulo the polynomial of a CRC, by squaring; bits as for MulCRC.
func PowerCRC[T uint32 | uint64](polynomial T, n int64) T {
	p := highest[T]()
	for x := p >> 1; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = MulCRC(polynomial, p, x)
		}
		x = MulCRC(polynomial, x, x)
	}
	return p
}

func highest[T uint32 | uint64]() T { return ^(^T(0) >> 1) }
