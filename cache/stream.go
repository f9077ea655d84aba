package cache

// stream is one sequential reader of an object, as far as offsets tell: FUSE
// opens without handles, so there is nothing else to know a reader by.
type stream struct {
	used   uint64 // when it last matched, for replacement
	start  int64  // of the last read
	next   int64  // where the reader will go on
	ahead  int64  // up to where parts were asked for
	loaded int64  // up to where they were read from disk
	window int64  // bytes kept asked for beyond next; 0 until it proved sequential
	begin  int64  // where it began
}

const (
	firstWindow = 1 << 20
	// windowGrowth is the window in proportion to what was read in sequence. Few
	// round trips fill the link, and what is fetched in vain is in proportion too.
	windowGrowth = 8
	// aheadMin is the least part of a window, while more is to come.
	aheadMin   = 2 << 20
	maxStreams = 8
)

// streams tells sequential reads from random ones. Guarded by the object's mu.
type streams struct {
	clock uint64
	list  [maxStreams]stream
	n     int
}

// touch notes a read of [off, off+n) and gives the stream that it continues, or
// nil when it is a random one. The first read of an object at offset 0 counts
// as the start of a sequential one.
func (s *streams) touch(off, n, maxWindow int64) *stream {
	s.clock++
	for i := range s.n {
		if st := &s.list[i]; st.follows(off, n) {
			st.advance(off, n, maxWindow)
			st.used = s.clock
			return st
		}
	}
	st := s.replace()
	*st = stream{used: s.clock, start: off, next: off + n, ahead: off + n, begin: off}
	if off != 0 {
		return nil
	}
	st.window = min(windowGrowth*n, maxWindow)
	return st
}

// follows allows for requests of one reader that overtake each other.
func (st *stream) follows(off, n int64) bool {
	if st.window == 0 {
		return off == st.next || off+n == st.start
	}
	slack := 8 * n
	return off >= st.next-slack && off <= st.next+slack
}

// advance moves the reader on; the window grows with what was read.
func (st *stream) advance(off, n, maxWindow int64) {
	st.start, st.next = off, max(st.next, off+n)
	st.ahead = max(st.ahead, st.next)
	st.window = min(max(windowGrowth*(st.next-st.begin), st.window, firstWindow), maxWindow)
}

// demand is the size of the part that the reader waits for: small at first, so that
// it comes soon and who wants no more than the first bytes gets little more. The
// kernel asks for 16 KiB when its reader wants a few bytes, and for 512 KiB or 1 MiB
// when it wants much.
func (st *stream) demand(maxPart int64) int64 {
	if st.window < firstWindow {
		return st.window / 2
	}
	return min(max(st.window/8, firstWindow), maxPart)
}

// part is the size of the parts in which the window is fetched when rest bytes of
// the object are to come: an eighth of the window, and towards the end a share of
// the rest, so that the last parts end together and no connection is idle before.
func (st *stream) part(rest, parallel, maxPart int64) int64 {
	share := max(rest/parallel/BlockSize*BlockSize, aheadMin)
	return min(max(st.window/8/BlockSize*BlockSize, aheadMin), share, maxPart)
}

func (s *streams) replace() *stream {
	if s.n < maxStreams {
		s.n++
		return &s.list[s.n-1]
	}
	oldest := &s.list[0]
	for i := range s.list {
		if s.list[i].used < oldest.used {
			oldest = &s.list[i]
		}
	}
	return oldest
}
