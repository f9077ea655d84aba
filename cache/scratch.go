package cache

import "sync"

// scratch holds what blocks are read from disk into and checked in, before their
// reader gets what he asked for: buffers on large pages, which the disk fills at
// once. They are few and not waited for, so that reads from disk wait for no
// fetch: without one a block is read the ordinary way.
type scratch struct {
	once   sync.Once
	blocks chan []byte // of BlockSize
	runs   chan []byte // of maxStep
	slab   []byte
}

const (
	scratchBlocks = 32
	scratchRuns   = 4
	scratchBytes  = scratchBlocks*BlockSize + scratchRuns*maxStep
)

func newScratch() *scratch {
	return &scratch{blocks: make(chan []byte, scratchBlocks), runs: make(chan []byte, scratchRuns)}
}

func (s *scratch) fill() {
	slab, err := newBuffer(scratchBytes)
	if err != nil {
		return
	}
	s.slab = slab
	for range scratchBlocks {
		s.blocks <- slab[:BlockSize:BlockSize]
		slab = slab[BlockSize:]
	}
	for range scratchRuns {
		s.runs <- slab[:maxStep:maxStep]
		slab = slab[maxStep:]
	}
}

// get gives a buffer for n bytes, or for the first of them; nil when none is free.
func (s *scratch) get(n int64) []byte {
	s.once.Do(s.fill)
	from := s.runs
	if n <= BlockSize {
		from = s.blocks
	}
	select {
	case b := <-from:
		return b
	default:
		return nil
	}
}

func (s *scratch) put(b []byte) {
	if len(b) == BlockSize {
		s.blocks <- b
		return
	}
	s.runs <- b
}

// close frees the memory; nobody reads any more.
func (s *scratch) close() {
	s.once.Do(func() {})
	unmap(s.slab)
	s.slab = nil
}
