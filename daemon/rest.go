package daemon

import (
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// rest finds that the files of a version are read in no order, but nearly all of
// them, as an epoch of training does. When so many were that the others are no more
// than twice as many, those are fetched as well, in the order of the manifest.
type rest struct {
	seen     []uint64 // bitmap by node; nil before the first read
	unsorted uint32   // files that were read in no order, each counted once
	next     uint32   // the next file to be asked for
	here     uint32   // how many in a row needed no fetch
}

const (
	// restFrom/restOf of the nodes must have been read in no order, more than a share
	// that is held out for validation; and restLeast of them, since of a few files
	// nothing can be said.
	restFrom, restOf = 3, 8
	restLeast        = 16
	// maxRest bounds the nodes of a version that is followed like that: 128 KiB.
	maxRest = 1 << 20
	// restScan bounds how many nodes one read passes over.
	restScan = 1024
)

// read notes a read of file index; it tells whether the rest is wanted.
func (r *rest) read(index, files uint32, inOrder bool) bool {
	if files > maxRest || index >= files {
		return false
	}
	if r.seen == nil {
		r.seen = make([]uint64, (files+63)/64)
	}
	if !r.has(index) {
		r.seen[index/64] |= 1 << (index % 64)
		if !inOrder {
			r.unsorted++
		}
	}
	return !inOrder && r.unsorted >= restLeast && uint64(r.unsorted)*restOf >= uint64(files)*restFrom
}

func (r *rest) has(index uint32) bool { return r.seen[index/64]&(1<<(index%64)) != 0 }

// advance asks for some of the files that were not read, until the cache has no room.
func (r *rest) advance(s *snapshot.Snapshot, prefetch func(manifest.Object, int64) cache.Ahead) {
	files, tries := min(s.Nodes(), maxRest), 0
	for scanned := 0; r.next < files && scanned < restScan && tries < atOnce; scanned++ {
		if !r.has(r.next) && (r.here < sparse || r.next%sparse == 0) {
			n, err := s.Node(r.next)
			if err == nil && !n.Dir && !n.Shadowed && n.Size <= firstBytes {
				tries++
				if !r.fetch(s, n, prefetch) {
					return
				}
			}
		}
		r.next++
	}
}

// fetch asks for file n; false when there is no room.
func (r *rest) fetch(s *snapshot.Snapshot, n snapshot.Node, prefetch func(manifest.Object, int64) cache.Ahead) bool {
	obj, err := s.Object(n.Index)
	if err != nil {
		return true // its reader hears of it
	}
	switch prefetch(obj, firstBytes) {
	case cache.AheadFull:
		return false
	case cache.AheadHere:
		r.here++
	case cache.AheadStarted:
		r.here = 0
	}
	return true
}
