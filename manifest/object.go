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
