package snapshot

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

const itemSize = 16

// item is a record in the arena, with 8 bytes of its key behind what all keys
// share, big endian: most comparisons need no more.
type item struct {
	word  uint64
	block uint32
	off   uint32
}

// sorter sorts records by key: in memory, or in runs that it spills.
type sorter struct {
	dir       string
	limit     int // bytes of memory
	blockSize int
	blocks    [][]byte // the arena
	block     int      // the one that is being filled
	used      int
	items     []item
	runs      *spool
	runList   []*stream
	shared    int // length of what all keys in memory share
}

func newSorter(dir string, limit int) *sorter {
	return &sorter{dir: dir, limit: limit, blockSize: min(1<<20, max(limit/16, 4<<10)), runs: newSpool(dir, 0)}
}

// add keeps a copy of r.
func (s *sorter) add(r record) error {
	// Twice the items: append grows them by copying.
	if len(s.items) > 0 && s.used+len(r)+2*itemSize*(len(s.items)+1) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	block, off := s.place(r)
	if len(s.items) == 0 {
		s.shared = len(r.key())
	} else if s.shared > 0 {
		s.shared = min(s.shared, commonPrefix(r.key(), s.record(s.items[0]).key()))
	}
	s.items = append(s.items, item{block: block, off: off})
	s.used += len(r)
	return nil
}

func (s *sorter) place(r record) (block, off uint32) {
	for s.block < len(s.blocks) && cap(s.blocks[s.block])-len(s.blocks[s.block]) < len(r) {
		s.block++
	}
	if s.block == len(s.blocks) {
		s.blocks = append(s.blocks, make([]byte, 0, max(s.blockSize, len(r))))
	}
	at := len(s.blocks[s.block])
	s.blocks[s.block] = append(s.blocks[s.block], r...)
	return uint32(s.block), uint32(at)
}

func (s *sorter) record(i item) record {
	b := s.blocks[i.block][i.off:]
	return record(b[:4+binary.LittleEndian.Uint32(b)])
}

func (s *sorter) sort() {
	for i := range s.items {
		s.items[i].word = keyWord(s.record(s.items[i]).key(), s.shared)
	}
	slices.SortFunc(s.items, func(a, b item) int {
		if a.word != b.word {
			return cmp.Compare(a.word, b.word)
		}
		return bytes.Compare(s.record(a).key()[s.shared:], s.record(b).key()[s.shared:])
	})
}

// keyWord gives the 8 bytes of key from skip on, filled up with 0. Keys of one
// word that differ in length are told apart by the full comparison.
func keyWord(key []byte, skip int) uint64 {
	key = key[skip:]
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var w [8]byte
	copy(w[:], key)
	return binary.BigEndian.Uint64(w[:])
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// spill writes what is in memory as one run.
func (s *sorter) spill() error {
	s.sort()
	if err := s.runs.open(); err != nil {
		return err
	}
	run := s.runs.stream()
	buf := make([]byte, 0, s.blockSize)
	for i, it := range s.items {
		r := s.record(it)
		if len(buf) > 0 && len(buf)+len(r) > cap(buf) {
			if err := s.runs.append(run, buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = append(buf, r...)
		if i == len(s.items)-1 {
			if err := s.runs.append(run, buf); err != nil {
				return err
			}
		}
	}
	s.runList = append(s.runList, run)
	s.reset()
	return nil
}

// reset empties the arena and keeps its blocks, but for those of giant records.
func (s *sorter) reset() {
	s.blocks = slices.DeleteFunc(s.blocks, func(b []byte) bool { return cap(b) > s.blockSize })
	for i := range s.blocks {
		s.blocks[i] = s.blocks[i][:0]
	}
	s.items, s.block, s.used = s.items[:0], 0, 0
}

// free gives the memory back.
func (s *sorter) free() { s.blocks, s.items, s.block, s.used = nil, nil, 0, 0 }

func (s *sorter) Close() error {
	s.free()
	s.runList = nil
	return s.runs.Close()
}
