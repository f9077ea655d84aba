package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// maxRequest is the most that the kernel asks for in one read, bytes. 1 MiB is
// what fs.fuse.max_pages_limit allows unless raised.
const maxRequest = 1 << 20

// Connect mounts on dir without serving yet and gives the connection to the
// kernel and dir as the kernel knows it. As long as one descriptor of the
// connection is open, callers wait; closing the last one ends the mount with
// ENOTCONN for all. Serve it with Attach.
//
// KindInvalid: no such directory, none, not empty. KindBusy: something is
// mounted there. KindDenied: not allowed. KindUnsupported: no FUSE on this host.
func Connect(ctx context.Context, dir string, o Options) (*os.File, string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, "", err
	}
	abs, err := preparePoint(ctx, dir, o.NonEmpty, o.Logger)
	if err != nil {
		return nil, "", err
	}
	var conn *os.File
	if os.Geteuid() == 0 {
		conn, err = mountDirect(abs, o)
	} else {
		conn, err = mountHelped(ctx, abs, o)
	}
	return conn, abs, err
}

// mountDirect uses mount(2). The descriptor is close-on-exec: a child would keep
// the connection alive after us.
func mountDirect(abs string, o Options) (*os.File, error) {
	conn, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, deviceError(err)
	}
	opts := append(kernelOptions(o), fmt.Sprintf("fd=%d", conn.Fd()), "rootmode=40000",
		fmt.Sprintf("user_id=%d", os.Geteuid()), fmt.Sprintf("group_id=%d", os.Getegid()))
	err = unix.Mount(o.FSName, abs, fsType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_RDONLY, strings.Join(opts, ","))
	if err != nil {
		conn.Close()
		return nil, mountError(abs, err)
	}
	return conn, nil
}

// kernelOptions are what mount(2) and fusermount3 both take. The kernel checks
// permissions by mode bits.
func kernelOptions(o Options) []string {
	opts := []string{"default_permissions", fmt.Sprintf("max_read=%d", maxRequest)}
	if *o.AllowOther {
		opts = append(opts, "allow_other")
	}
	return opts
}

func deviceError(err error) error {
	e := &manifest.Error{Kind: manifest.KindUnsupported, Op: "open /dev/fuse", Err: err,
		Hint: "load the module (modprobe fuse); in a container, pass it in (--device /dev/fuse --cap-add SYS_ADMIN)"}
	if errors.Is(err, os.ErrPermission) {
		e.Kind = manifest.KindDenied
	}
	return e
}

func mountError(abs string, err error) error {
	e := &manifest.Error{Kind: manifest.KindOther, Op: "mount", Ref: abs, Err: err}
	switch {
	case errors.Is(err, syscall.EPERM):
		e.Kind, e.Hint = manifest.KindDenied, "mounting needs CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN)"
	case errors.Is(err, syscall.EBUSY):
		e.Kind = manifest.KindBusy
	case errors.Is(err, syscall.ENODEV):
		e.Kind, e.Hint = manifest.KindUnsupported, "the kernel has no FUSE: modprobe fuse"
	}
	return e
}
