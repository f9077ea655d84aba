package fusefs

import "github.com/hanwen/go-fuse/v2/fuse"

// node says what a node id means.
type node struct {
	slot  uint32 // entry of Slots
	index uint32 // record in the slot's snapshot; 0 in other slots
}

// id gives the number of n: slot<<32 | index, and 1 for the mount's root. No
// other node gets 1, since slot 0 has no other node than the list of projects,
// which is the root wherever it is shown.
func (f *fileSystem) id(n node) uint64 {
	if n == f.root {
		return fuse.FUSE_ROOT_ID
	}
	return uint64(n.slot)<<32 | uint64(n.index)
}

// node is the reverse of id.
func (f *fileSystem) node(id uint64) node {
	if id == fuse.FUSE_ROOT_ID {
		return f.root
	}
	return node{slot: uint32(id >> 32), index: uint32(id)}
}
