package fusefs

import (
	"sync/atomic"

	"github.com/pinfs/pinfs/manifest"
)

const (
	maxObjects     = 256     // how many files can be read in turns without decoding their entries anew
	maxKeptDigests = 4 << 10 // bytes; snapshots themselves keep longer lists of chunk digests
)

// objects keeps what files that were read last are, by node: reading a large file
// in parts would decode its entry for each part. What a node is never changes, and
// a place is taken by whoever comes last.
type objects struct {
	places [maxObjects]atomic.Pointer[knownObject]
}

type knownObject struct {
	node node
	obj  manifest.Object
}

// of gives the object of a file of held.
func (o *objects) of(held *heldTree, index uint32) (manifest.Object, error) {
	n := node{held.slot, index}
	place := &o.places[(n.slot*31+n.index)%maxObjects]
	if known := place.Load(); known != nil && known.node == n {
		return known.obj, nil
	}
	obj, err := held.tree.Snapshot.Object(index)
	if err == nil && len(obj.Chunks.Digests) <= maxKeptDigests {
		place.Store(&knownObject{n, obj})
	}
	return obj, err
}
