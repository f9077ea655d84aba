package fusefs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// Unmount ends the pinfs mount at dir, from whatever process. lazy takes it out of
// the tree at once and lets who has files open finish with them. KindInvalid: no
// pinfs mount there. KindBusy: files are in use (not when lazy).
func Unmount(ctx context.Context, dir string, lazy bool) error {
	abs, err := resolveDir(dir)
	if err != nil {
		return pointError(dir, err)
	}
	m, ok, err := mountAt(abs)
	if err != nil {
		return pointError(dir, err)
	}
	if !ok {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "unmount", Ref: dir, Msg: "is not mounted"}
	}
	if m.fsType != fsType {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "unmount", Ref: dir, Msg: "is a mount of " + m.fsType + ", not of pinfs"}
	}
	return unmountPoint(ctx, abs, lazy)
}

// unmountPoint tries some times: the kernel closes files a little after their
// process ended.
func unmountPoint(ctx context.Context, abs string, lazy bool) error {
	var err error
	for try := range 5 {
		if err = unmountOnce(ctx, abs, lazy); manifest.KindOf(err) != manifest.KindBusy || err == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(10<<try) * time.Millisecond):
		}
	}
	return err
}

func unmountOnce(ctx context.Context, abs string, lazy bool) error {
	if os.Geteuid() != 0 {
		flag := "-u"
		if lazy {
			flag = "-uz"
		}
		return runHelper(ctx, abs, nil, flag, "--", abs)
	}
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(abs, flags)
	if err == nil {
		return nil
	}
	e := &manifest.Error{Kind: manifest.KindOther, Op: "unmount", Ref: abs, Err: err}
	switch {
	case errors.Is(err, syscall.EBUSY):
		e.Kind, e.Msg, e.Err, e.Hint = manifest.KindBusy, "files are in use", nil, "end what uses them, or unmount with --lazy"
	case errors.Is(err, syscall.EPERM):
		e.Kind = manifest.KindDenied
	}
	return e
}
