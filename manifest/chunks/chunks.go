package chunks

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/zeebo/blake3"

	"github.com/pinfs/pinfs/manifest"
)

const (
	// MinSize and MaxSize bound the size of a chunk, in bytes.
	MinSize = 64 << 10
	MaxSize = 8 << 20
	// DigestSize is the length of a chunk's digest, in bytes.
	DigestSize = 32

	maxCount = 1024 // that SizeFor aims at
)

// SizeFor gives the size of a chunk for a content of contentSize bytes: the
// smallest that makes at most 1,024 chunks, but MaxSize at most. That is also the
// answer for manifest.SizeUnknown.
func SizeFor(contentSize int64) int64 {
	if contentSize < 0 {
		return MaxSize
	}
	size := int64(MinSize)
	for size < MaxSize && Count(contentSize, size) > maxCount {
		size *= 2
	}
	return size
}

// Count gives the number of chunks of a content.
func Count(contentSize, chunkSize int64) int64 {
	n := contentSize / chunkSize
	if contentSize%chunkSize > 0 {
		n++
	}
	return n
}

// GoodSize tells whether a chunk may have that size.
func GoodSize(size int64) bool {
	return size >= MinSize && size <= MaxSize && bits.OnesCount64(uint64(size)) == 1
}

// Digest gives the digest of a chunk.
func Digest(chunk []byte) [DigestSize]byte { return blake3.Sum256(chunk) }

// Of makes Chunks from digests, 32 bytes each, end to end.
func Of(size int64, digests string) manifest.Chunks {
	h := blake3.New()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(size))
	_, _ = h.Write(n[:]) // it never fails
	_, _ = h.WriteString(digests)
	c := manifest.Chunks{Size: size, Digests: digests}
	h.Sum(c.ID[:0])
	return c
}

// Valid checks that c can be the chunks of a content of contentSize bytes, and
// that its ID is right. None at all is valid. The error is KindInvalid.
func Valid(c manifest.Chunks, contentSize int64) error {
	var why string
	switch {
	case c == manifest.Chunks{}:
		return nil
	case !GoodSize(c.Size):
		why = fmt.Sprintf("chunks of %d bytes: it must be a power of two from %d to %d", c.Size, MinSize, MaxSize)
	case contentSize < 0:
		why = "it has chunk digests and no size"
	case int64(len(c.Digests)) != DigestSize*Count(contentSize, c.Size):
		why = fmt.Sprintf("%d bytes of chunk digests, not %d", len(c.Digests), DigestSize*Count(contentSize, c.Size))
	case Of(c.Size, c.Digests).ID != c.ID:
		why = "the ID of the chunk digests is that of others"
	default:
		return nil
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "check chunk digests", Msg: why}
}
