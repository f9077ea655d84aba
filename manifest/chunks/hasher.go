package chunks

import (
	"io"

	"github.com/zeebo/blake3"

	"github.com/pinfs/pinfs/manifest"
)

// Hasher makes the Chunks of what is written to it. Its memory is the digests.
// It belongs to one goroutine.
type Hasher struct {
	size    int64
	h       *blake3.Hasher
	in      int64 // bytes of the chunk that is under way
	digests []byte
}

var _ io.Writer = (*Hasher)(nil)

// NewHasher makes a Hasher with chunks of size bytes, see SizeFor. A size that is
// none becomes the next one that is.
func NewHasher(size int64) *Hasher {
	good := int64(MinSize)
	for good < size && good < MaxSize {
		good *= 2
	}
	return &Hasher{size: good, h: blake3.New()}
}

// Write takes the next bytes of the content; it never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(int64(len(p)), h.size-h.in)]
		_, _ = h.h.Write(part) // it never fails
		p = p[len(part):]
		if h.in += int64(len(part)); h.in == h.size {
			h.end()
		}
	}
	return n, nil
}

func (h *Hasher) end() {
	h.digests = h.h.Sum(h.digests)
	h.h.Reset()
	h.in = 0
}

// Chunks gives those of all that was written. Nothing may be written after it.
func (h *Hasher) Chunks() manifest.Chunks {
	if h.in > 0 {
		h.end()
	}
	return Of(h.size, string(h.digests))
}
