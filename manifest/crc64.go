package manifest

import (
	"encoding/binary"
	"hash"
	"hash/crc64"
	"sync"
)

// nvmePolynomial is that of CRC-64/NVME, reflected as hash/crc64 wants it. Check
// value of "123456789": ae8b14860a799888 (NVM Express NVM Command Set
// Specification 1.0d, section 5.2.1.3.4).
const nvmePolynomial = 0x9a6c9329ac4bc9b5

// nvmeTables are what eight bytes at once take. hash/crc64 keeps those of two other
// polynomials only and makes such tables anew for each write, which takes as long as
// a small object itself. They are a constant that the compiler can't make.
var nvmeTables = sync.OnceValue(func() *[8]crc64.Table {
	var t [8]crc64.Table
	t[0] = *crc64.MakeTable(nvmePolynomial)
	for i := range t[0] {
		crc := t[0][i]
		for j := 1; j < len(t); j++ {
			crc = t[0][byte(crc)] ^ crc>>8
			t[j][i] = crc
		}
	}
	return &t
})

// nvmeHash is the hash of CRC-64/NVME.
type nvmeHash struct {
	tables *[8]crc64.Table
	crc    uint64
}

var _ hash.Hash64 = (*nvmeHash)(nil)

func newNVMEHash() *nvmeHash { return &nvmeHash{tables: nvmeTables()} }

// Write adds p to the checksum.
func (h *nvmeHash) Write(p []byte) (int, error) {
	t, crc, n := h.tables, ^h.crc, len(p)
	for ; len(p) >= 8; p = p[8:] {
		crc ^= binary.LittleEndian.Uint64(p)
		crc = t[7][crc&0xff] ^ t[6][crc>>8&0xff] ^ t[5][crc>>16&0xff] ^ t[4][crc>>24&0xff] ^
			t[3][crc>>32&0xff] ^ t[2][crc>>40&0xff] ^ t[1][crc>>48&0xff] ^ t[0][crc>>56]
	}
	for _, b := range p {
		crc = t[0][byte(crc)^b] ^ crc>>8
	}
	h.crc = ^crc
	return n, nil
}

// Sum appends the checksum, big endian.
func (h *nvmeHash) Sum(b []byte) []byte { return binary.BigEndian.AppendUint64(b, h.crc) }

// Sum64 gives the checksum.
func (h *nvmeHash) Sum64() uint64 { return h.crc }

// Reset begins anew.
func (h *nvmeHash) Reset() { h.crc = 0 }

// Size is 8 bytes.
func (h *nvmeHash) Size() int { return crc64.Size }

// BlockSize is 1 byte.
func (h *nvmeHash) BlockSize() int { return 1 }
