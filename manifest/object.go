package manifest

import (
	"crypto/sha256"
	"encoding/binary"
)

// PinKind tells what fixes the version of an object.
type PinKind uint8

// The kinds of pins, from none to the tightest.
const (
	PinNone       PinKind = iota // nothing: tracked only
	PinMD5                       // size and base64 MD5 of the content (files, stored files, oldest GCS manifests)
	PinTime                      // size and Last-Modified as HTTP sends it, for servers without strong ETags
	PinETag                      // the source's entity tag: HTTP's as sent, with its quotes; others without
	PinVersion                   // S3, Azure and mem version id
	PinGeneration                // GCS generation, decimal
)

// String names the kind as messages and the xattr user.pinfs.pin do.
func (k PinKind) String() string {
	switch k {
	case PinMD5:
		return "md5"
	case PinTime:
		return "last-modified"
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
	// Checksums are those of the whole content that the manifest records beside
	// the digest, as "alg:hex" joined by commas; "" for none. See Sums.
	Checksums string
	// Chunks are the digests of the content's pieces, if they were recorded.
	Chunks Chunks
}

// Chunks are BLAKE3 digests of the pieces of a content; the zero value is none.
// Package chunks makes and checks them.
type Chunks struct {
	// Size is that of each piece but the last, in bytes: a power of two, at least
	// 64 KiB.
	Size int64
	// ID stands for Size and Digests: their BLAKE3.
	ID [32]byte
	// Digests are 32 bytes for each piece, end to end.
	Digests string
}

// Key is a hash over what names the content, for use as a cache key or a file
// name. Checksums are no part of it: they say no other content. Chunks are, since
// content that was cached without them was not checked by them.
func (o Object) Key() [sha256.Size]byte {
	var room [512]byte
	b := room[:0]
	for _, s := range [...]string{o.Ref, o.Pin.String(), o.Digest} {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(o.Size))
	if o.Chunks.Size > 0 {
		b = append(b, o.Chunks.ID[:]...)
	}
	return sha256.Sum256(b)
}
