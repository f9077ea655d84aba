package snapshot

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/pinfs/pinfs/manifest"
)

// A record is an entry on its way through the builder:
//
//	u32 length of what follows
//	u16 length of the key, the key: the path with 0 for '/', so that the order of
//	    bytes is that of components (no path holds a 0)
//	u8  flags of the node; i64 size; i64 when modified
//	with flagChunks: u64 place of the digests in the builder's store, u64 their
//	    length, u8 log2 of the size of a chunk, 32 bytes ID
//	u16 flags of the blob
//	with refPath, refTail: uvarint number of the prefix + 1; or 0 and its text,
//	    when the builder's table is full
//	the rest of the blob as it will be
type record []byte

const (
	recordHead    = 6
	nodeFields    = 1 + 8 + 8
	chunkedFields = 8 + 8 + 1 + 32
)

func (r record) key() []byte {
	return r[recordHead : recordHead+int(binary.LittleEndian.Uint16(r[4:]))]
}

// tail is all after the key.
func (r record) tail() []byte { return r[recordHead+int(binary.LittleEndian.Uint16(r[4:])):] }

// path is the key as people write it.
func (r record) path() string {
	p := append([]byte(nil), r.key()...)
	for i, c := range p {
		if c == 0 {
			p[i] = '/'
		}
	}
	return string(p)
}

// appendRecord encodes e behind b. The digests of its chunks go to the place at.
func appendRecord(b []byte, e *manifest.Entry, exact bool, prefixes *prefixTable, at int64) ([]byte, error) {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = le.AppendUint16(b, uint16(len(e.Path)))
	b = append(b, e.Path...)
	for i, c := range b[start+recordHead:] {
		if c == '/' {
			b[start+recordHead+i] = 0
		}
	}
	ns, flags := nodeTime(e)
	if sizeUnknown(e, exact) {
		flags |= flagUnknownSize
	}
	b = append(b, flags)
	b = le.AppendUint64(b, uint64(e.Size))
	b = le.AppendUint64(b, uint64(ns))
	if e.Chunks.Size > 0 {
		b[len(b)-nodeFields] |= flagChunks
		b = appendChunked(b, e.Chunks, at)
	}
	blob := len(b)
	b, err := appendBlob(b, e, prefixes)
	if err != nil {
		return nil, err
	}
	if len(b)-blob > maxBlob {
		bad := invalid(e.Path, fmt.Sprintf("the entry is longer than %d bytes", maxBlob))
		bad.Kind = manifest.KindLimit
		return nil, bad
	}
	le.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}

func appendBlob(b []byte, e *manifest.Entry, prefixes *prefixTable) ([]byte, error) {
	at := len(b)
	b = append(b, 0, 0)
	mode, prefix, k, tail := splitRef(e.Ref, e.Path)
	if mode == refPath || mode == refTail {
		if id, ok := prefixes.id(prefix); ok {
			b = binary.AppendUvarint(b, uint64(id)+1)
		} else {
			b = appendText(append(b, 0), prefix)
		}
	}
	switch mode {
	case refPath:
		b = binary.AppendUvarint(b, uint64(k))
	case refTail, refText:
		b = appendText(b, tail)
	}
	b, flags, err := appendFields(b, e)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint16(b[at:], flags|mode<<refShift)
	return b, nil
}

// nodeTime gives when e was modified for its node: ns since 1970, clamped.
func nodeTime(e *manifest.Entry) (int64, byte) {
	switch {
	case e.ModTime.IsZero():
		return 0, 0
	case !isWide(e.ModTime):
		return e.ModTime.UnixNano(), flagTime
	case e.ModTime.Unix() < 0:
		return math.MinInt64, flagTime
	}
	return math.MaxInt64, flagTime
}

// sizeUnknown: the manifest does not tell e's size. 0 means nothing for a
// reference, unless sizes are exact, somebody hashed it, or the digest is the MD5
// of no bytes.
func sizeUnknown(e *manifest.Entry, exact bool) bool {
	if e.Size != 0 || e.Chunks.Size > 0 {
		return e.Size == manifest.SizeUnknown
	}
	empty := md5.Sum(nil)
	return !exact && e.Ref != "" &&
		e.Digest != hex.EncodeToString(empty[:]) && e.Digest != base64.StdEncoding.EncodeToString(empty[:])
}
