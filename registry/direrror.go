package registry

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// fail makes a typed error of what the file system said about key.
func (d *DirStore) fail(op, key string, err error) error {
	var typed *manifest.Error
	if err == nil || errors.As(err, &typed) {
		return err
	}
	e := &manifest.Error{Op: op, Ref: key, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notFound(op, key)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind = manifest.KindOf(err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.Msg, e.Hint = "the registry's disk is full", "free space in "+d.dir
	case errors.Is(err, unix.EROFS):
		e.Kind, e.Msg, e.Hint = manifest.KindDenied, "the registry is on a read-only file system", "choose another --registry"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = manifest.KindDenied, "ask for permission on "+d.dir+" or choose another --registry"
	case errors.Is(err, unix.ENOTDIR):
		e.Kind, e.Msg = manifest.KindInvalid, "the registry is not a directory"
	case errors.Is(err, errTooLarge), errors.Is(err, unix.ELOOP):
		e.Kind = manifest.KindCorrupt
	case errors.Is(err, unix.ESTALE), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EHOSTDOWN):
		e.Kind = manifest.KindUnreachable
	}
	return e
}
