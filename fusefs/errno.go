package fusefs

import (
	"syscall"

	"github.com/pinfs/pinfs/manifest"
)

// Errno gives the errno that a program sees for err; 0 for nil. ENOENT is only
// for names: an object that is gone is ESTALE. ENOSYS is never given.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return kindErrno(manifest.KindOf(err))
}

// kindErrno is the one table from kinds to errnos.
func kindErrno(k manifest.Kind) syscall.Errno {
	switch k {
	case manifest.KindNotFound:
		return syscall.ENOENT
	case manifest.KindGone, manifest.KindChanged, manifest.KindNoSource:
		return syscall.ESTALE
	case manifest.KindDenied:
		return syscall.EACCES
	case manifest.KindTimeout, manifest.KindUnreachable, manifest.KindThrottled:
		return syscall.ETIMEDOUT
	case manifest.KindUnsupported:
		return syscall.ENOTSUP
	case manifest.KindCanceled:
		return syscall.EINTR
	case manifest.KindBusy:
		return syscall.EBUSY
	}
	return syscall.EIO // corrupt bytes, limits, defects
}
