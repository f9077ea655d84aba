package cache

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/pinfs/pinfs/manifest"
)

type key [32]byte

// BlockSize is the unit that the cache keeps and checks.
const BlockSize = 64 << 10

const (
	// wholeMax is the largest object that is fetched and checked whole before
	// its first byte is served.
	wholeMax = 1 << 20
	// partMax is the largest range of one request.
	partMax = 8 << 20
	// chunkBlocks is how many blocks share one value of the index, so that a
	// change of one block never rewrites a table of megabytes.
	chunkBlocks = 1024
)

// The first byte of a key of the index; doc.go has the table.
const (
	prefixRecord  = 'o'
	prefixContent = 'd'
	prefixBlocks  = 'b'
	prefixUse     = 'u'
	prefixSize    = 'z'
	prefixMeta    = 'm'
)

const (
	flagVerified   = 1 << iota // the whole matched its checksum
	flagKept                   // never evicted
	flagDistrusted             // a mismatch was found: serve nothing before the whole is verified
	flagNoSum                  // the source offers no checksum of the whole
)

// record is what the index keeps of one object.
type record struct {
	flags  uint8
	size   int64
	stored int64 // bytes of content on disk
	used   int64 // last use, unix ms
}

const recordLen = 2 + 3*8

func recordKey(k key) []byte  { return append([]byte{prefixRecord}, k[:]...) }
func contentKey(k key) []byte { return append([]byte{prefixContent}, k[:]...) }
func sizeKey(k key) []byte    { return append([]byte{prefixSize}, k[:]...) }

func blocksKey(k key, chunk int64) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{prefixBlocks}, k[:]...), uint32(chunk))
}

func useKey(k key, used int64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{prefixUse}, uint64(used))
	return append(b, k[:]...)
}

func parseUseKey(b []byte) (k key, ok bool) {
	if len(b) != 1+8+len(k) {
		return k, false
	}
	copy(k[:], b[9:])
	return k, true
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// seal appends the CRC32C of the index key and value, so that a value that
// rotted, or that is another key's, is never trusted. unseal checks and cuts it.
func seal(indexKey, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, sealOf(indexKey, value))
}

func sealOf(indexKey, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(indexKey, castagnoli()), castagnoli(), value)
}

func unseal(indexKey, value []byte) ([]byte, bool) {
	n := len(value) - 4
	if n < 0 || binary.BigEndian.Uint32(value[n:]) != sealOf(indexKey, value[:n]) {
		return nil, false
	}
	return value[:n], true
}

func (r record) encode() []byte {
	b := append(make([]byte, 0, recordLen+4), 1, r.flags)
	for _, v := range []int64{r.size, r.stored, r.used} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func decodeRecord(b []byte) (r record, ok bool) {
	if len(b) != recordLen || b[0] != 1 {
		return r, false
	}
	r.flags = b[1]
	for i, p := range []*int64{&r.size, &r.stored, &r.used} {
		*p = int64(binary.BigEndian.Uint64(b[2+8*i:]))
	}
	return r, r.size >= 0 && r.stored >= 0 && r.stored <= r.size
}

// chunk is the table of up to chunkBlocks blocks of one object.
type chunk struct {
	// learned: every CRC is known from a pass that verified the whole, also of
	// blocks that are not on disk.
	learned bool
	present []uint64 // bitmap: on disk, with the CRC below
	crc     []uint32
}

func newChunk(blocks int64) *chunk {
	return &chunk{present: make([]uint64, (blocks+63)/64), crc: make([]uint32, blocks)}
}

func (c *chunk) has(i int64) bool { return c.present[i/64]&(1<<(i%64)) != 0 }

func (c *chunk) set(i int64) { c.present[i/64] |= 1 << (i % 64) }

func (c *chunk) clear(i int64) { c.present[i/64] &^= 1 << (i % 64) }

func (c *chunk) count() (n int64) {
	for _, w := range c.present {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// full tells whether all blocks of c are on disk.
func (c *chunk) full() bool { return c.count() == int64(len(c.crc)) }

func (c *chunk) encode() []byte {
	b := make([]byte, 0, 2+8*len(c.present)+4*len(c.crc)+4)
	b = append(b, 1, 0)
	if c.learned {
		b[1] = 1
	}
	for _, w := range c.present {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	for _, v := range c.crc {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func decodeChunk(b []byte, blocks int64) (*chunk, bool) {
	c := newChunk(blocks)
	if len(b) != 2+8*len(c.present)+4*len(c.crc) || b[0] != 1 {
		return nil, false
	}
	c.learned = b[1] == 1
	b = b[2:]
	for i := range c.present {
		c.present[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	b = b[8*len(c.present):]
	for i := range c.crc {
		c.crc[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return c, true
}

// target is an object with what is derived from it once per call.
type target struct {
	manifest.Object
	key  key
	size int64 // never unknown
}

func (t target) blocks() int64 { return (t.size + BlockSize - 1) / BlockSize }

// whole tells whether t is fetched and checked as one piece.
func (t target) whole() bool { return t.size <= wholeMax }

// small tells whether the content lives in the index instead of a file.
func (t target) small() bool { return t.size <= BlockSize }
