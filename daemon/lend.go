package daemon

import (
	"os"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

var (
	_ fusefs.Lender = content{}
	_ fusefs.Lender = strictContent{}
	_ fusefs.Loan   = (*cache.Loan)(nil)
)

// Lend gives the cache's file of obj for the kernel to read.
func (c content) Lend(obj manifest.Object, revoked func()) (fusefs.Loan, *os.File) {
	return c.lend(obj, false, revoked)
}

// Lend gives only what was verified as a whole.
func (c strictContent) Lend(obj manifest.Object, revoked func()) (fusefs.Loan, *os.File) {
	return c.lend(obj, true, revoked)
}

func (c content) lend(obj manifest.Object, strict bool, revoked func()) (fusefs.Loan, *os.File) {
	obj, ok := c.known(obj)
	if !ok {
		return nil, nil
	}
	l, f := c.Cache.Lend(obj, strict, revoked)
	if l == nil {
		return nil, nil // not l: a nil *Loan is no nil Loan
	}
	return l, f
}

// Prepare begins the checks that obj needs before it can be lent.
func (c content) Prepare(obj manifest.Object) {
	if obj, ok := c.known(obj); ok {
		c.Cache.Prepare(obj)
	}
}

// Probe gives a file of the cache directory.
func (c content) Probe() (*os.File, error) { return c.Cache.Probe() }

// known is resolve for what can be told without asking anybody.
func (c content) known(obj manifest.Object) (manifest.Object, bool) {
	if obj.Pin.Kind != manifest.PinNone || c.found == nil {
		return obj, true
	}
	if c.found.Failure(obj) != nil {
		return obj, false
	}
	if !expand.Pinnable(obj) {
		return obj, true
	}
	pinned, ok := c.found.Pinned(obj)
	return pinned, ok && (obj.Size < 0 || obj.Size == pinned.Size)
}
