package cache

import (
	"encoding/binary"
	"hash"

	"github.com/pinfs/pinfs/manifest"
)

// cheapest are the checksums that sources offer, the one that costs least first: of
// CRC32C the cache has those of all blocks anyway, the other CRCs are made on the
// way to the disk (proof), the rest need all bytes in order.
//
// A CRC of 32 bits goes before the MD5 that an ETag is, though it is weaker: what the
// manifest records of that ETag is the pin, which every answer is compared with, and it
// says nothing of bytes until the source adds that it is an MD5. What is left for the
// checksum to find is damage on the way and on the disk, of which 2^-32 goes unseen, after
// TCP's and TLS's own checks and beside the length; nobody who could choose bytes
// to fit a CRC comes before the source, whose word is all there is. Who wants more has
// `put` record an MD5 or a SHA-256: that counts above all of these.
var cheapest = [...]manifest.SumAlg{manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumCRC32, manifest.SumSHA256, manifest.SumMD5}

// pickSum chooses what the whole is checked against: what the manifest records
// above all, else the cheapest that the source offers.
func pickSum(obj manifest.Object, offered []manifest.Sum) (manifest.Sum, bool) {
	if sum, ok := obj.Sum(); ok {
		return sum, true
	}
	sum := cheapestOf(offered)
	return sum, sum.Alg != ""
}

func cheapestOf(offered []manifest.Sum) manifest.Sum {
	for _, alg := range cheapest {
		for _, sum := range offered {
			if sum.Alg == alg && len(sum.Value) == alg.Size() {
				return sum
			}
		}
	}
	return manifest.Sum{}
}

// checkBytes checks a whole object in memory.
func checkBytes(obj manifest.Object, want manifest.Sum, data []byte) error {
	h := want.Alg.New()
	h.Write(data)
	return obj.CheckSum(op, want, h.Sum(nil))
}

// crcWhole joins the CRC32Cs of consecutive blocks into that of all size bytes,
// without reading them.
func crcWhole(crcs []uint32, size int64) []byte {
	joiner, whole := manifest.SumCRC32C.Joiner(), uint64(0)
	for i, crc := range crcs {
		whole = joiner.Join(whole, uint64(crc), blockLen(size, int64(i)))
	}
	return crcBytes(manifest.SumCRC32C, whole)
}

// crcOf gives a CRC as a number, crcBytes as a manifest.Sum has it.
func crcOf(h hash.Hash) (crc uint64) {
	for _, b := range h.Sum(nil) {
		crc = crc<<8 | uint64(b)
	}
	return crc
}

func crcBytes(alg manifest.SumAlg, crc uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, crc)[8-alg.Size():]
}
