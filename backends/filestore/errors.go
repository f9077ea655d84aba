package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// irregular is the error of opening what is no file.
type irregular struct{ mode fs.FileMode }

func (i *irregular) Error() string { return kindOfFile(i.mode) }

// untold is the error of a file of which nobody can tell where it is. It is not read.
type untold struct{ err error }

func (u *untold) Error() string {
	return "the rules need to know where it is, is /proc mounted? " + reason(u.err).Error()
}

// kindOfFile names what is no regular file.
func kindOfFile(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// missing tells whether err says that the path is not there.
func missing(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR)
}

// failed types an error of the system. ESTALE is worth another try: the path may
// lead to another file by now, and then that is found.
func failed(op, ref string, err error) error {
	var typed *manifest.Error
	var refused *backends.Refusal
	var unknown *untold
	var errno syscall.Errno
	switch {
	case errors.As(err, &typed):
		return err
	case errors.As(err, &refused):
		return refused.At(op, ref)
	case errors.As(err, &unknown):
		return backends.Denied(op, ref, "", unknown)
	}
	_ = errors.As(err, &errno)
	switch errno {
	case syscall.EACCES, syscall.EPERM:
		return backends.Denied(op, ref, "", reason(err))
	case syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EHOSTDOWN,
		syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ETIMEDOUT, syscall.EREMOTEIO,
		syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return backends.Unreachable(op, ref, reason(err))
	case syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL:
		return backends.Invalid(op, ref, reason(err).Error(), "")
	}
	return &manifest.Error{Op: op, Ref: ref, Err: reason(err)}
}

// reason drops the path from a system error: the reference has it already.
func reason(err error) error {
	var path *fs.PathError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &call):
		return call.Err
	}
	return err
}

// objectError types what went wrong with a recorded object.
func objectError(op string, obj manifest.Object, err error) error {
	var what *irregular
	switch {
	case missing(err):
		return backends.Gone(op, obj, "")
	case errors.As(err, &what):
		return manifest.LocalMismatch(op, obj.Ref, obj.Digest, what.Error())
	}
	return failed(op, obj.Ref, err)
}

// changed says that a file changed under us.
func changed(op, ref string, before, after state) error {
	return &manifest.Error{Kind: manifest.KindChanged, Op: op, Ref: ref, Msg: "the file changed while it was read",
		Expected: before.String(), Found: after.String()}
}

// unlistable is a KindInvalid that says why path can't be part of a version.
func unlistable(path, msg, hint string) error {
	return backends.Invalid("list", "file://"+path, msg, hint)
}

func sizeText(n int64) string { return fmt.Sprintf("a file of %d bytes", n) }
