package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// MountState is what a process must know, besides the replayed Slots, to take
// over a mount that another one served.
type MountState struct {
	// Dir is the mount point.
	Dir string
	// Init is the kernel's INIT request as it came, in the kernel's own layout
	// (struct fuse_in_header and fuse_init_in). The kernel sends it once for each
	// connection. Empty: nobody has served the connection yet.
	Init []byte
	// Device is the mount's number, "0:39", as /proc/self/mountinfo has it; the
	// kernel's number of the connection is its second half. Empty when not known.
	Device string
	// Open is how files are opened: the kernel was told once.
	Open OpenMode
	// Epoch is in the numbers of handles; see opens.
	Epoch uint64
}

// Keeper makes a mount outlive its process. What it is given must be where another
// process finds it before its methods return; an error of theirs ends the mount.
type Keeper interface {
	// Made is told of a new connection before it is served. conn stays the caller's.
	Made(conn *os.File, dir string) error
	// Begun is told, once, what another process needs to go on, before the first
	// request is answered.
	Begun(st MountState) error
}

// Attach serves a connection. conn stays the caller's; the mount lives as long as
// it or a server has it open. With an empty Init it answers the kernel's INIT;
// else it goes on where another server stopped, whether that was shut down or
// killed: what it had read and not answered the kernel sends again (Linux 6.9).
// Servers that are on one connection at the same time share the requests, and
// must share one Slots.
func Attach(conn *os.File, st MountState, o Options) (*Mounted, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	f, err := newFileSystem(o)
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(conn)
	if err == nil {
		f.line, err = duplicateFile(conn)
	}
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", st.Dir, err)
	}
	server, err := attachServer(f, fd, st.Init)
	if err != nil {
		f.OnUnmount()
		return nil, fmt.Errorf("attach %s: %w", st.Dir, err)
	}
	if !keepPresent(server) {
		o.Logger.Warn("go-fuse keeps its buffers elsewhere: a process that is killed while it reads a request may fail it")
	}
	f.startOpens(server, &st)
	logSettings(o.Logger, server.KernelSettings())
	m := &Mounted{fs: f, server: server, done: make(chan struct{})}
	if err := m.begin(st); err != nil {
		return nil, errors.Join(err, m.refuse())
	}
	go m.serve()
	return m, nil
}

func duplicate(f *os.File) (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3) }

func duplicateFile(f *os.File) (*os.File, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// begin completes what is known of the mount, and has it kept if it is a new one.
func (m *Mounted) begin(st MountState) error {
	first := len(st.Init) == 0
	st.Init = initBytes(m.server.KernelSettings())
	if st.Device == "" {
		if info, ok, err := mountAt(st.Dir); err == nil && ok {
			st.Device = info.device
		}
	}
	m.state = st
	if !first || m.fs.o.Keeper == nil {
		return nil
	}
	if err := m.fs.o.Keeper.Begun(st); err != nil {
		return fmt.Errorf("keep %s: %w", st.Dir, err)
	}
	return nil
}

// refuse ends a server that has not begun: the mount is to go.
func (m *Mounted) refuse() error {
	go m.serve()
	err := unmountPoint(context.Background(), m.state.Dir, true)
	<-m.done
	return err
}

// attachServer gives a server on fd, which it owns from then on.
func attachServer(f *fileSystem, fd int, init []byte) (*fuse.Server, error) {
	if len(init) == 0 {
		return fuse.NewServer(f.face(), fmt.Sprintf("/dev/fd/%d", fd), f.serverOptions())
	}
	defer unix.Close(fd)
	server, err := replayInit(f, fd, init)
	if err != nil {
		return nil, err
	}
	f.takeRequests(fd, server.KernelSettings())
	return server, nil
}

// takeRequests sees to what a process before had read and not answered.
func (f *fileSystem) takeRequests(fd int, in *fuse.InitIn) {
	if f.resends(in) {
		if err := resend(fd); err != nil {
			f.o.Logger.Warn("the kernel does not send again what was under way; those callers wait", "error", err)
		}
		return
	}
	if f.memory == nil {
		f.o.Logger.Warn("the kernel can't send again what was under way (Linux 6.9); those callers wait")
		return
	}
	if n := f.memory.requests.refuse(fd); n > 0 {
		f.o.Logger.Warn("the kernel can't send again what was under way (Linux 6.9); those callers got EIO", "requests", n)
	}
}

// capResend is FUSE_HAS_RESEND of the kernel's fuse.h.
const capResend = 1 << 39

func (f *fileSystem) resends(in *fuse.InitIn) bool {
	return in.Flags64()&capResend != 0 && !f.o.oldKernel
}

// face is what answers: on kernels that do not send again what a dead process had
// read, requests are noted for the next one. The kernel tells when the first server is
// there, so that all have the same.
func (f *fileSystem) face() fuse.RawFileSystem {
	if f.memory == nil || !f.o.oldKernel && kernelResends() {
		return f
	}
	return noting{f, newAsked(&f.memory.requests)}
}

// replayInit makes a server read the saved INIT from a socket pair, since the
// kernel won't send it again, and then moves the connection onto the number of
// the server's end.
func replayInit(f *fileSystem, fd int, init []byte) (*fuse.Server, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	req := append([]byte(nil), init...)
	if len(req) < 4 {
		return nil, fmt.Errorf("saved INIT has %d bytes", len(req))
	}
	binary.NativeEndian.PutUint32(req, uint32(len(req))) // fuse_in_header.len
	if _, err := unix.Write(pair[1], req); err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(f.face(), fmt.Sprintf("/dev/fd/%d", pair[0]), f.serverOptions())
	if err != nil {
		return nil, err
	}
	return server, unix.Dup3(fd, pair[0], unix.O_CLOEXEC)
}

// notifyResend is FUSE_NOTIFY_RESEND of the kernel's fuse.h.
const notifyResend = 7

// resend asks the kernel to send again what was read and not answered.
func resend(fd int) error {
	msg := make([]byte, 16) // struct fuse_out_header: len, error, unique
	binary.NativeEndian.PutUint32(msg, uint32(len(msg)))
	binary.NativeEndian.PutUint32(msg[4:], notifyResend)
	_, err := unix.Write(fd, msg)
	return err
}

func initBytes(in *fuse.InitIn) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(in)), unsafe.Sizeof(*in))...)
}

// logSettings says what the kernel has, for those who look into the speed of a mount:
// what it lacks is done without.
func logSettings(log *slog.Logger, in *fuse.InitIn) {
	has := func(capability uint64) bool { return in.Flags64()&capability != 0 }
	log.Debug("the kernel's FUSE", "protocol", fmt.Sprintf("%d.%d", in.Major, in.Minor),
		"maxRequest", maxRequest, "maxBackground", maxBackground, "asyncRead", has(fuse.CAP_ASYNC_READ),
		"largeRequests", has(fuse.CAP_MAX_PAGES), "readdirPlus", has(fuse.CAP_READDIRPLUS),
		"parallelDirs", has(fuse.CAP_PARALLEL_DIROPS), "noOpen", has(fuse.CAP_NO_OPEN_SUPPORT),
		"noOpendir", has(fuse.CAP_NO_OPENDIR_SUPPORT), "passthrough", has(fuse.CAP_PASSTHROUGH))
}

// maxBackground is how many requests of read-ahead may be under way.
const maxBackground = 64

// serverOptions are the same for the first server and for all that take over,
// since the kernel hears them only once.
func (f *fileSystem) serverOptions() *fuse.MountOptions {
	disabled := uint64(fuse.CAP_PASSTHROUGH) // a mount with it counts as stacked on the cache's file system
	if f.o.Open == OpenPassthrough {
		disabled = 0
	}
	return &fuse.MountOptions{
		DisabledCapabilities:     disabled,
		Name:                     "pinfs",
		FsName:                   f.o.FSName,
		MaxBackground:            maxBackground,
		MaxWrite:                 maxRequest, // also sizes max_pages, so reads
		DisableSplice:            true,       // header and 1 MiB are more than a pipe holds
		EnableSymlinkCaching:     true,       // an alias with another target is another node
		ExplicitDataCacheControl: true,       // data never changes
		ExtraCapabilities:        fuse.CAP_NO_OPENDIR_SUPPORT,
		Logger:                   slog.NewLogLogger(f.o.Logger.Handler(), slog.LevelWarn),
		PanicHandler:             f.panicked,
	}
}
