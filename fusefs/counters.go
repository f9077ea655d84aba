package fusefs

import "sync/atomic"

// Requests counts what the kernel asked since the mount or takeover. What the
// kernel answers from its own caches is not in it.
type Requests struct {
	Lookup, GetAttr, Readlink, Open, Read, OpenDir, ReadDir, XAttr, StatFs uint64
	// Other is all else but FORGET.
	Other uint64
	// Pushed is how often the kernel was given a file that it had not asked for.
	Pushed uint64
}

// Total gives the sum of what was asked.
func (r Requests) Total() uint64 {
	return r.Lookup + r.GetAttr + r.Readlink + r.Open + r.Read + r.OpenDir + r.ReadDir + r.XAttr + r.StatFs + r.Other
}

// counters are the live form of Requests.
type counters struct {
	lookup, getAttr, readlink, open, read, openDir, readDir, xattr, statFs, other, pushed atomic.Uint64
}

func (c *counters) requests() Requests {
	return Requests{
		Lookup: c.lookup.Load(), GetAttr: c.getAttr.Load(), Readlink: c.readlink.Load(),
		Open: c.open.Load(), Read: c.read.Load(), OpenDir: c.openDir.Load(), ReadDir: c.readDir.Load(),
		XAttr: c.xattr.Load(), StatFs: c.statFs.Load(), Other: c.other.Load(), Pushed: c.pushed.Load(),
	}
}
