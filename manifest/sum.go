package manifest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// SumAlg names a checksum over the whole content of an object.
type SumAlg string

// The algorithms that sources offer.
const (
	SumMD5       SumAlg = "md5"
	SumCRC32     SumAlg = "crc32" // IEEE 802.3's, as in gzip
	SumCRC32C    SumAlg = "crc32c"
	SumCRC64NVME SumAlg = "crc64nvme"
	SumSHA256    SumAlg = "sha256"
)

// Sum is a checksum over the whole content of an object; Value is the raw bytes,
// big endian for CRCs.
type Sum struct {
	Alg   SumAlg
	Value []byte
}

// New gives the hash of the algorithm; nil for one that isn't known.
func (a SumAlg) New() hash.Hash {
	switch a {
	case SumMD5:
		return md5.New()
	case SumSHA256:
		return sha256.New()
	case SumCRC32:
		return crc32.NewIEEE()
	case SumCRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case SumCRC64NVME:
		return newCRC64NVME()
	}
	return nil
}

// Size is the length of the algorithm's checksums in bytes; 0 for one that isn't known.
func (a SumAlg) Size() int {
	switch a {
	case SumMD5:
		return md5.Size
	case SumSHA256:
		return sha256.Size
	case SumCRC32, SumCRC32C:
		return crc32.Size
	case SumCRC64NVME:
		return crc64.Size
	}
	return 0
}

// Sum gives the checksum of the content that the manifest itself records, the
// strongest if it has several: a recorded SHA-256; the digest, if it is one (the
// MD5 of file references, of stored files and of older GCS manifests); another
// recorded one. An S3 ETag is none by itself, since only the source knows how it
// was made; the drivers say so in backends.Info.Sums.
func (o Object) Sum() (Sum, bool) {
	recorded := o.Sums()
	for _, sum := range recorded {
		if sum.Alg == SumSHA256 {
			return sum, true
		}
	}
	if sum, ok := o.digestSum(); ok {
		return sum, true
	}
	if len(recorded) > 0 {
		return recorded[0], true
	}
	return Sum{}, false
}

func (o Object) digestSum() (Sum, bool) {
	switch SourceOf(o.Ref) {
	case SourceGCS, SourceBlob:
	case SourceFile:
		if standsForNoMD5(o.Ref, o.Digest, o.Size) {
			return Sum{}, false
		}
	default:
		return Sum{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(o.Digest)
	if err != nil || len(raw) != md5.Size {
		return Sum{}, false
	}
	return Sum{SumMD5, raw}, true
}

// CheckSum compares the checksum got of o's whole content with want. The error is
// LocalMismatch for the MD5 of a file reference, else KindCorrupt.
func (o Object) CheckSum(op string, want Sum, got []byte) error {
	if bytes.Equal(want.Value, got) {
		return nil
	}
	if SourceOf(o.Ref) == SourceFile && want.Alg == SumMD5 {
		return LocalMismatch(op, o.Ref, base64.StdEncoding.EncodeToString(want.Value), base64.StdEncoding.EncodeToString(got))
	}
	return &Error{Kind: KindCorrupt, Op: op, Ref: o.Ref, Msg: "checksum " + string(want.Alg) + " differs",
		Expected: hex.EncodeToString(want.Value), Found: hex.EncodeToString(got)}
}
