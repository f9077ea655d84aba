package fusefs

import "github.com/hanwen/go-fuse/v2/fuse"

// ReleaseForeign has m hear of the end of a handle that it did not give out.
func ReleaseForeign(m *Mounted, node, handle uint64) {
	m.fs.Release(nil, &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: node}, Fh: handle})
}

// OldKernel has a mount do without what Linux 6.9 brought for takeovers.
func OldKernel(o Options) Options {
	o.oldKernel = true
	return o
}

// KeepPresent tells whether go-fuse's buffers are where they are looked for, and what is
// made there from then on.
func KeepPresent(fresh func() any) (made any, ok bool) {
	server := new(fuse.Server)
	pool := bufferPool(server)
	if pool == nil {
		return nil, false
	}
	pool.New = fresh
	ok = keepPresent(server)
	return pool.Get(), ok
}
