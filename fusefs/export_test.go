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
