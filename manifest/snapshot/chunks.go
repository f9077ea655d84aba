package snapshot

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// goodChunked tells whether the section of chunks can hold what it says.
func goodChunked(sp span) bool {
	return sp.count <= maxNodes && sp.count*chunkedSize <= sp.length &&
		(sp.length-sp.count*chunkedSize)%chunks.DigestSize == 0
}

// chunks gives the chunks of the file i, which has some, and whose recorded size is
// given. They are copied out of the mapping and checked against their ID.
func (s *Snapshot) chunks(i uint32, size int64) (manifest.Chunks, error) {
	if c, ok := s.recent.find(i); ok {
		return c, nil
	}
	rec, err := s.chunked(i)
	if err != nil {
		return manifest.Chunks{}, err
	}
	c := manifest.Chunks{Size: 1 << (rec[4] & 63), ID: [32]byte(rec[16:])}
	if size < 0 || !chunks.GoodSize(c.Size) {
		return manifest.Chunks{}, s.badChunks()
	}
	sp := &s.h.sections[sectionChunks]
	from, n := binary.LittleEndian.Uint64(rec[8:]), uint64(chunks.Count(size, c.Size))
	if from > sp.length || n > sp.length/chunks.DigestSize {
		return manifest.Chunks{}, s.badChunks()
	}
	raw, err := s.section(sectionChunks, sp.count*chunkedSize+from, n*chunks.DigestSize)
	if err != nil {
		return manifest.Chunks{}, err
	}
	c.Digests = string(raw)
	if chunks.Valid(c, size) != nil {
		return manifest.Chunks{}, s.badChunks()
	}
	s.recent.keep(i, c)
	return c, nil
}

func (s *Snapshot) badChunks() error { return s.corrupt("the chunk digests of a file are damaged") }

// chunked finds the record of the file i in the section of chunks, by halving.
func (s *Snapshot) chunked(i uint32) ([]byte, error) {
	lo, hi := uint64(0), s.h.sections[sectionChunks].count
	for lo < hi {
		mid := lo + (hi-lo)/2
		rec, err := s.section(sectionChunks, mid*chunkedSize, chunkedSize)
		if err != nil {
			return nil, err
		}
		switch node := binary.LittleEndian.Uint32(rec); {
		case node == i:
			return bytes.Clone(rec), nil
		case node < i:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil, s.badChunks()
}

// recentChunks keeps the chunks of files that were asked for last, so that each
// read of a large file needs not copy its digests anew. At most 16 files with up
// to 64 KiB of digests, and one above: 4 MiB for a file of 1 TiB.
type recentChunks struct {
	slots [17]atomic.Pointer[nodeChunks]
}

type nodeChunks struct {
	node   uint32
	chunks manifest.Chunks
}

const (
	recentMin   = 1 << 10 // bytes of digests that are worth it
	recentLarge = 64 << 10
)

func (r *recentChunks) find(i uint32) (manifest.Chunks, bool) {
	for _, slot := range []uint32{i % 16, 16} {
		if n := r.slots[slot].Load(); n != nil && n.node == i {
			return n.chunks, true
		}
	}
	return manifest.Chunks{}, false
}

func (r *recentChunks) keep(i uint32, c manifest.Chunks) {
	switch n := len(c.Digests); {
	case n < recentMin:
	case n <= recentLarge:
		r.slots[i%16].Store(&nodeChunks{i, c})
	default:
		r.slots[16].Store(&nodeChunks{i, c})
	}
}
