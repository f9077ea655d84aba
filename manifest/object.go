package manifest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// PinKind tells what fixes the version of an object.
type PinKind uint8

// The kinds of pins, from none to the tightest.
const (
	PinNone       PinKind = iota // nothing: tracked only
	PinMD5                       // size and base64 MD5 of the content (files, oldest GCS manifests)
	PinETag                      // the source's entity tag: HTTP's as sent, with its quotes; others without
	PinVersion                   // S3, Azure and mem version id
	PinGeneration                // GCS generation, decimal
)

// String names the kind as messages and the xattr user.pinfs.pin do.
func (k PinKind) String() string {
	switch k {
	case PinMD5:
		return "md5"
	case PinETag:
		return "etag"
	case PinVersion:
		return "version"
	case PinGeneration:
		return "generation"
	}
	return "none"
}

// Pin fixes which version of an object a reference means.
type Pin struct {
	Kind  PinKind
	Value string
}

// String gives "kind:value", or "none".
func (p Pin) String() string {
	if p.Kind == PinNone {
		return p.Kind.String()
	}
	return p.Kind.String() + ":" + p.Value
}

// Object is what a reference and its pin name together. It is immutable: equal
// Objects have equal bytes, so it is a cache key as it stands.
type Object struct {
	Ref    string // URI
	Pin    Pin
	Digest string // as the manifest records it, see Entry.Digest
	Size   int64  // bytes, or SizeUnknown
}

// Key is a hash over all fields, for use as a cache key or a file name.
func (o Object) Key() [sha256.Size]byte {
	h := sha256.New()
	var n [8]byte
	put := func(s string) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	put(o.Ref)
	put(o.Pin.String())
	put(o.Digest)
	binary.LittleEndian.PutUint64(n[:], uint64(o.Size))
	h.Write(n[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// SumAlg names a checksum over the whole content of an object.
type SumAlg string

// The algorithms that sources offer.
const (
	SumMD5       SumAlg = "md5"
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

// Sum gives the content checksum that the manifest itself records, if its digest
// is one: the MD5 of file references, of W&B's own files and of older GCS
// manifests. An S3 ETag is none by itself, since only the source knows how it
// was made; the drivers say so in backends.Info.Sums.
func (o Object) Sum() (Sum, bool) {
	switch Scheme(o.Ref) {
	case "gs", "":
	case "file":
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
