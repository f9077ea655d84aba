package manifest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
)

// PinKind tells what fixes the version of an object.
type PinKind uint8

// The kinds of pins, from none to the tightest.
const (
	PinNone       PinKind = iota // nothing: tracked only
	PinMD5                       // size and base64 MD5 of the content (file references)
	PinETag                      // the source's entity tag, sent back as If-Match
	PinVersion                   // S3 and Azure version id
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

// Object gives the object of e, with the pin that e's scheme and fields allow:
// a version id or generation first, else the ETag, else for files the MD5.
// Rules: W&B's storage handlers, one for each scheme.
func (e Entry) Object() Object {
	return Object{Ref: e.Ref, Pin: e.pin(), Digest: e.Digest, Size: e.Size}
}

func (e Entry) pin() Pin {
	version := e.extraText(ExtraVersion)
	switch Scheme(e.Ref) {
	case "s3", "azblob":
		if version != "" && version != "null" {
			return Pin{PinVersion, version}
		}
		return e.etagPin()
	case "gs":
		if version != "" {
			return Pin{PinGeneration, version}
		}
		return e.etagPin()
	case "http", "https":
		if version != "" { // Azure's https form
			return Pin{PinVersion, version}
		}
		if tag := e.extraText(ExtraETag); tag != "" {
			return Pin{PinETag, tag}
		}
	case "file":
		if isMD5(e.Digest) {
			return Pin{PinMD5, e.Digest}
		}
	case "mem":
		return e.etagPin()
	}
	return Pin{}
}

// etagPin pins by the recorded ETag. A digest that is the URI itself means that
// no checksum was wanted (checksum=False): nothing is pinned.
func (e Entry) etagPin() Pin {
	tag := e.extraText(ExtraETag)
	if tag == "" && e.Digest != e.Ref {
		tag = e.Digest
	}
	if tag == "" {
		return Pin{}
	}
	return Pin{PinETag, tag}
}

// extraText gives a string or number of Extra as text, else "".
func (e Entry) extraText(key string) string {
	switch v := e.Extra[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func isMD5(digest string) bool {
	raw, err := base64.StdEncoding.DecodeString(digest)
	return err == nil && len(raw) == md5.Size
}

// Scheme gives the scheme of a URI in lower case; "" when it has none.
func Scheme(uri string) string {
	scheme, _, ok := strings.Cut(uri, "://")
	if !ok {
		return ""
	}
	return strings.ToLower(scheme)
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
	case "file", "gs", "":
		if raw, err := base64.StdEncoding.DecodeString(o.Digest); err == nil && len(raw) == md5.Size {
			return Sum{SumMD5, raw}, true
		}
	}
	return Sum{}, false
}
