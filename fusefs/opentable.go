package fusefs

import "sync/atomic"

// openTable is what a process must know of the handles of a mount with passthrough to
// go on with them: in memory that outlives this one. It is written before the answers
// that it is about, so that a process that dies in between leaves a node as open that
// is not, and never one as closed that is open; what it was asked and did not answer
// comes again, under a number that the table knows.
//
// A nil table is that of a mount that ends with its process. Guarded by opens.mu, but
// for ids, which backings.mu guards.
type openTable struct {
	mem  *tableMemory
	free []int32 // places of mem.nodes that were used and are not
}

// tableMemory is its part of the shared memory.
type tableMemory struct {
	// asked are the last requests that opened or closed something, in a ring.
	next  uint64
	asked [tableAsked]uint64
	// ids are the numbers of files that the kernel was given; 0 is none.
	ids   [tableIDs]int32
	used  int32 // places from here on never were: nobody looks at them
	nodes [tableNodes]tableNode
}

// tableNode is an open file.
type tableNode struct {
	id      uint64 // of the node; 0: none
	handles uint32
	backing int32 // the kernel's number of the file, modeOrdinary, or modeOpen
}

const (
	tableAsked = 1024
	tableIDs   = maxBackings + 256
	// tableNodes is how many files can be open at once and be known to another process;
	// those beyond may have a mode that it gets wrong, which fails opens beside them.
	tableNodes = 1 << 16

	modeOpen     = 0 // not decided
	modeOrdinary = -1
	noPlace      = -1
)

// uniqueResent marks the number of a request that the kernel sends again
// (FUSE_UNIQUE_RESEND).
const uniqueResent = 1 << 63

// newOpenTable goes on with what is in mem; nil is that of a mount without.
func newOpenTable(mem *tableMemory) *openTable {
	t := &openTable{mem: mem}
	t.recall()
	return t
}

// recall finds the places that are free.
func (t *openTable) recall() {
	for place := range t.mem.used {
		if t.mem.nodes[place].id == 0 {
			t.free = append(t.free, place)
		}
	}
}

// enter notes a node with one handle and gives its place; noPlace: there is no room.
func (t *openTable) enter(id uint64) int32 {
	if t == nil {
		return noPlace
	}
	var place int32
	switch {
	case len(t.free) > 0:
		place = t.free[len(t.free)-1]
		t.free = t.free[:len(t.free)-1]
	case t.mem.used < tableNodes:
		place = t.mem.used
		atomic.StoreInt32(&t.mem.used, place+1)
	default:
		return noPlace
	}
	n := &t.mem.nodes[place]
	n.handles, n.backing = 1, modeOpen
	atomic.StoreUint64(&n.id, id)
	return place
}

// handles notes how many handles a node has; with none its place is free.
func (t *openTable) handles(place int32, n int) {
	if t == nil || place == noPlace {
		return
	}
	atomic.StoreUint32(&t.mem.nodes[place].handles, uint32(n))
	if n == 0 {
		atomic.StoreUint64(&t.mem.nodes[place].id, 0)
		t.free = append(t.free, place)
	}
}

// decide notes the mode of a node's handles.
func (t *openTable) decide(place int32, backing int32) {
	if t != nil && place != noPlace {
		atomic.StoreInt32(&t.mem.nodes[place].backing, backing)
	}
}

// note notes that the request with this number was counted.
func (t *openTable) note(unique uint64) {
	if t == nil {
		return
	}
	t.mem.asked[t.mem.next%tableAsked] = unique &^ uniqueResent
	t.mem.next++
}

// forget undoes note: the request is to be counted if it comes again.
func (t *openTable) forget(unique uint64) {
	if t == nil {
		return
	}
	for i := range t.mem.asked {
		if t.mem.asked[i] == unique&^uniqueResent {
			t.mem.asked[i] = 0
		}
	}
}

// counted tells whether a request that comes again was counted before.
func (t *openTable) counted(unique uint64) bool {
	if t == nil || unique&uniqueResent == 0 {
		return false
	}
	for _, asked := range t.mem.asked {
		if asked == unique&^uniqueResent {
			return true
		}
	}
	return false
}

// given and back note the numbers of files that the kernel has.
func (t *openTable) given(id int32) { t.replaceID(0, id) }

func (t *openTable) back(id int32) { t.replaceID(id, 0) }

func (t *openTable) replaceID(was, is int32) {
	if t == nil {
		return
	}
	for i := range t.mem.ids {
		if t.mem.ids[i] == was {
			atomic.StoreInt32(&t.mem.ids[i], is)
			return
		}
	}
}
