package daemon

// order finds readers that go through the files of one version in their order, by
// the numbers of the files alone. Several may, each in its own range or with turns
// among them, a little out of order. A file counts as read in order when most of
// those just before it were read lately. How long ago that is at most depends on how
// many files there are, so that shuffled reads hardly ever look like an order.
type order struct {
	used   uint64
	files  uint32 // nodes of the snapshot
	lately uint64 // reads
	clock  uint64
	recent [recentSlots]recentRead
	asked  [askedSlots]uint32 // files that were asked for, plus one
	fronts []front
	rest   rest
	walk   walk
}

type recentRead struct {
	index  uint32
	at     uint64 // clock; 0 is never
	pushed bool   // taken for read
}

const (
	recentSlots = 512
	askedSlots  = 2048
	maxFronts   = 32 // readers
	// before is how many of the files in front of one are looked at; all but missing
	// of them must have been read lately.
	before, missing = 4, 1
	leastLately     = 8
	mostLately      = 128
	// slack is how far a reader may fall behind its front, or skip.
	slack = 16
)

func newOrder(files uint32) *order {
	return &order{files: files, lately: uint64(min(max(files/32, leastLately), mostLately))}
}

// read notes a read of file index, and gives the front that it moves on; nil when it
// follows no order.
func (o *order) read(index uint32) *front {
	inOrder := o.follows(index)
	o.clock++
	slot := &o.recent[index%recentSlots]
	again := slot.index == index && slot.at != 0 && o.clock-slot.at <= o.lately && !slot.pushed
	*slot = recentRead{index, o.clock, false}
	if !inOrder || again {
		return nil
	}
	f := o.front(index)
	f.pace, f.gap, f.used = f.gap, o.clock-f.used, o.clock
	f.moved(index)
	return f
}

// pushed notes files that the kernel was given: their reader won't ask for them.
func (o *order) pushed(from, to uint32) {
	for i := from; i < to; i++ {
		o.recent[i%recentSlots] = recentRead{i, o.clock, true}
	}
}

// follows tells whether most files just before index were read lately.
func (o *order) follows(index uint32) bool {
	seen := 0
	for back := uint32(1); back <= before && back <= index; back++ {
		slot := &o.recent[(index-back)%recentSlots]
		if slot.at != 0 && slot.index == index-back && o.clock-slot.at < o.lately {
			seen++
		}
	}
	return seen >= before-missing
}

// front gives the front that is at index, or makes one in place of the one that
// stood still for longest.
func (o *order) front(index uint32) *front {
	for i := range o.fronts {
		if f := &o.fronts[i]; o.clock-f.used <= 2*o.lately && f.at(index) {
			return f
		}
	}
	f := newFront(index)
	f.used = o.clock
	if len(o.fronts) < maxFronts {
		o.fronts = append(o.fronts, f)
		return &o.fronts[len(o.fronts)-1]
	}
	oldest := &o.fronts[0]
	for i := range o.fronts {
		if o.fronts[i].used < oldest.used {
			oldest = &o.fronts[i]
		}
	}
	*oldest = f
	return oldest
}

func newFront(index uint32) front {
	return front{next: index, ahead: index + 1, window: firstFiles, grown: index}
}

// ask tells whether file index is to be asked for: not when it was, lately.
func (o *order) ask(index uint32) bool { return o.asked[index%askedSlots] != index+1 }

// ended notes that file index was read to its end, not from its beginning: of what
// was read before it, that reader wants the whole.
func (o *order) ended(index uint32) {
	for i := range o.fronts {
		if o.fronts[i].at(index) {
			o.fronts[i].ends = min(max(o.fronts[i].ends, 0)+2, 4)
			return
		}
	}
}

// at tells whether index is near the front. What was fetched or pushed ahead is, too:
// a reader that skips stays the same.
func (f *front) at(index uint32) bool {
	return int64(index) >= int64(f.next)-slack && int64(index) <= int64(max(f.next, f.ahead, f.pushed()))+slack
}

// moved notes that index was read. The window doubles each time that half of it was.
func (f *front) moved(index uint32) {
	f.before, f.next = max(f.next, min(index, f.pushed())), max(f.next, index+1)
	if f.next-f.grown >= max(f.window/2, 1) {
		f.window, f.grown = min(2*f.window, maxFiles), f.next
	}
}
