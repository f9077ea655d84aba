package manifest

import (
	"encoding/binary"
	"hash"
	"hash/crc64"
	"math/bits"
	"sync"
)

// nvmePolynomial is that of CRC-64/NVME, reflected as hash/crc64 wants it. Check
// value of "123456789": ae8b14860a799888 (NVM Express NVM Command Set
// Specification 1.0d, section 5.2.1.3.4).
const nvmePolynomial = 0x9a6c9329ac4bc9b5

const (
	// crcLanes runs of crcLane bytes are computed side by side: one alone waits for
	// its own last step most of the time. Together they are more than twice as fast.
	crcLanes = 4
	crcLane  = 4 << 10
	crcGroup = crcLanes * crcLane
)

// crc64NVME computes CRC-64/NVME.
type crc64NVME struct {
	tables *crcTables
	crc    uint64
}

var _ hash.Hash64 = (*crc64NVME)(nil)

// crcTables are what CRC-64/NVME is computed with.
type crcTables struct {
	// slices are for eight bytes at once, the last one first.
	slices [8]crc64.Table
	// shift moves a CRC on by a lane of zeros, a byte of it at a time.
	shift [8]crc64.Table
}

func newCRC64NVME() *crc64NVME { return &crc64NVME{tables: nvmeTables()} }

// nvmeTables are a constant that the compiler can't make. hash/crc64 keeps such ones of
// two other polynomials only.
var nvmeTables = sync.OnceValue(func() *crcTables {
	t := &crcTables{}
	t.slices[0] = *crc64.MakeTable(nvmePolynomial)
	for i := range 256 {
		crc := t.slices[0][i]
		for j := 1; j < 8; j++ {
			crc = t.slices[0][byte(crc)] ^ crc>>8
			t.slices[j][i] = crc
		}
	}
	lane := nvmePower(8 * crcLane)
	for j := range t.shift {
		var bit [8]uint64
		for k := range bit {
			bit[k] = nvmeMul(lane, 1<<(8*j+k))
		}
		for i := 1; i < 256; i++ {
			low := i & -i
			t.shift[j][i] = t.shift[j][i^low] ^ bit[bits.TrailingZeros(uint(low))]
		}
	}
	return t
})

// Write implements hash.Hash; it never fails.
func (c *crc64NVME) Write(p []byte) (int, error) {
	n, crc := len(p), ^c.crc
	for ; len(p) >= crcGroup; p = p[crcGroup:] {
		crc = c.tables.group(crc, p[:crcGroup])
	}
	for ; len(p) >= 8; p = p[8:] {
		crc = c.tables.step(crc ^ binary.LittleEndian.Uint64(p))
	}
	for _, b := range p {
		crc = c.tables.slices[0][byte(crc)^b] ^ crc>>8
	}
	c.crc = ^crc
	return n, nil
}

// group goes on with crc through all lanes of p.
func (t *crcTables) group(crc uint64, p []byte) uint64 {
	a, b, c, d := p[:crcLane], p[crcLane:2*crcLane], p[2*crcLane:3*crcLane], p[3*crcLane:crcGroup]
	var x, y, z uint64
	for i := 0; i+8 <= crcLane; i += 8 {
		crc = t.step(crc ^ binary.LittleEndian.Uint64(a[i:]))
		x = t.step(x ^ binary.LittleEndian.Uint64(b[i:]))
		y = t.step(y ^ binary.LittleEndian.Uint64(c[i:]))
		z = t.step(z ^ binary.LittleEndian.Uint64(d[i:]))
	}
	return lookup(&t.shift, lookup(&t.shift, lookup(&t.shift, crc)^x)^y) ^ z
}

// step is eight bytes of zeros, or of what was added to v before.
func (t *crcTables) step(v uint64) uint64 {
	return t.slices[7][byte(v)] ^ t.slices[6][byte(v>>8)] ^ t.slices[5][byte(v>>16)] ^ t.slices[4][byte(v>>24)] ^
		t.slices[3][byte(v>>32)] ^ t.slices[2][byte(v>>40)] ^ t.slices[1][byte(v>>48)] ^ t.slices[0][v>>56]
}

// lookup adds up what t has for each byte of v, the lowest first.
func lookup(t *[8]crc64.Table, v uint64) (sum uint64) {
	for i := range t {
		sum ^= t[i][byte(v>>(8*i))]
	}
	return sum
}

// Sum64 implements hash.Hash64.
func (c *crc64NVME) Sum64() uint64 { return c.crc }

// Sum implements hash.Hash.
func (c *crc64NVME) Sum(b []byte) []byte { return binary.BigEndian.AppendUint64(b, c.crc) }

// Reset implements hash.Hash.
func (c *crc64NVME) Reset() { c.crc = 0 }

// Size implements hash.Hash.
func (c *crc64NVME) Size() int { return crc64.Size }

// BlockSize implements hash.Hash.
func (c *crc64NVME) BlockSize() int { return 1 }

// JoinCRC64NVME gives the CRC of a followed by b, which has n bytes, from their CRCs.
func JoinCRC64NVME(a, b uint64, n int64) uint64 { return nvmeMul(nvmePower(8*n), a) ^ b }

// nvmeMul multiplies two polynomials modulo that of NVME; bits are reflected, so that
// the highest one is x^0.
func nvmeMul(a, b uint64) (p uint64) {
	for m := uint64(1) << 63; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = b>>1 ^ nvmePolynomial&-(b&1)
	}
	return p
}

// nvmePower gives x^n modulo the polynomial, by squaring.
func nvmePower(n int64) uint64 {
	p, x := uint64(1)<<63, uint64(1)<<62
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = nvmeMul(p, x)
		}
		x = nvmeMul(x, x)
	}
	return p
}
