package cache

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pinfs/pinfs/manifest"
)

// pickSum chooses what the whole is checked against: what the manifest records
// above all, else the cheapest that the source offers.
func pickSum(obj manifest.Object, offered []manifest.Sum) (manifest.Sum, bool) {
	if sum, ok := obj.Sum(); ok {
		return sum, true
	}
	for _, alg := range []manifest.SumAlg{manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumSHA256, manifest.SumMD5} {
		for _, sum := range offered {
			if sum.Alg == alg && len(sum.Value) == alg.Size() {
				return sum, true
			}
		}
	}
	return manifest.Sum{}, false
}

// checkBytes checks a whole object in memory.
func checkBytes(obj manifest.Object, want manifest.Sum, data []byte) error {
	h := want.Alg.New()
	h.Write(data)
	return obj.CheckSum(op, want, h.Sum(nil))
}

// crcWhole joins the CRC32Cs of consecutive blocks into that of all size bytes,
// without reading them. A CRC is linear over GF(2): that of A followed by B is
// that of A moved on by len(B) zero bytes, which is a multiplication by
// x^(8·len(B)) modulo the polynomial, plus that of B.
func crcWhole(crcs []uint32, size int64) []byte {
	var whole uint32
	full := manifest.PowerCRC[uint32](crc32.Castagnoli, 8*BlockSize)
	for i, crc := range crcs {
		shift := full
		if n := blockLen(size, int64(i)); n != BlockSize {
			shift = manifest.PowerCRC[uint32](crc32.Castagnoli, 8*n)
		}
		whole = manifest.MulCRC(crc32.Castagnoli, shift, whole) ^ crc
	}
	return binary.BigEndian.AppendUint32(nil, whole)
}
