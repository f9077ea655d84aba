package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// helperTimeout bounds a run of fusermount3.
const helperTimeout = 30 * time.Second

// mountHelped lets the setuid helper fusermount3 mount, for users who may not.
// It sends the descriptor over the socket that _FUSE_COMMFD names.
func mountHelped(ctx context.Context, abs string, o Options) (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount %s: socketpair: %w", abs, err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	opts := append(kernelOptions(o), "ro", "nosuid", "nodev", "subtype=pinfs", "fsname="+escapeOption(o.FSName))
	err = runHelper(ctx, abs, theirs, "-o", strings.Join(opts, ","), "--", abs)
	theirs.Close()
	if err != nil {
		return nil, err
	}
	fd, err := receiveDescriptor(pair[0])
	if err != nil {
		return nil, fmt.Errorf("mount %s: fusermount3: %w", abs, err)
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}

// escapeOption protects what separates options.
func escapeOption(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s)
}

// runHelper runs fusermount3 with sock, which may be nil, as its descriptor 3.
func runHelper(ctx context.Context, abs string, sock *os.File, args ...string) error {
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		return &manifest.Error{Kind: manifest.KindUnsupported, Op: "mount", Ref: abs, Msg: "fusermount3 is not installed",
			Hint: "install fuse3 (apt-get install fuse3, dnf install fuse3), or mount as root"}
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if sock != nil {
		cmd.ExtraFiles = []*os.File{sock}
		cmd.Env = append(cmd.Env, "_FUSE_COMMFD=3")
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return helperError(abs, strings.TrimSpace(said.String()), err)
	}
	return nil
}

// helperError sorts what fusermount3 says; it has one exit code for all.
func helperError(abs, said string, err error) error {
	if _, rest, ok := strings.Cut(said, "fusermount3: "); ok {
		said = rest
	}
	has := func(part string) bool { return strings.Contains(strings.ToLower(said), part) }
	e := &manifest.Error{Kind: manifest.KindOther, Op: "fusermount3", Ref: abs, Msg: said}
	switch {
	case said == "":
		e.Err = err
	case has("user_allow_other"):
		e.Kind, e.Msg = manifest.KindDenied, "only root may let other users in"
		e.Hint = "add a line user_allow_other to /etc/fuse.conf, or mount without --allow-other"
	case has("/dev/fuse") && has("permission denied"):
		e.Kind, e.Hint = manifest.KindDenied, "let users open the device: chmod 666 /dev/fuse, as udev does"
	case has("/dev/fuse") || has("fuse device not found"):
		e.Kind, e.Hint = manifest.KindUnsupported, "load the module (modprobe fuse); in a container, pass /dev/fuse in"
	case has("busy"):
		e.Kind, e.Msg, e.Hint = manifest.KindBusy, "files are in use", "end what uses them, or unmount with --lazy"
	case has("permission") || has("no write access") || has("not permitted"):
		e.Kind, e.Hint = manifest.KindDenied, "without root the mount point must be a directory of your own"
	}
	return e
}

// receiveDescriptor reads one descriptor from a socket.
func receiveDescriptor(sock int) (int, error) {
	buf, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return -1, err
	}
	if len(messages) != 1 {
		return -1, fmt.Errorf("sent %d messages, expected 1", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	if len(fds) != 1 {
		return -1, fmt.Errorf("sent %d descriptors, expected 1", len(fds))
	}
	return fds[0], nil
}
