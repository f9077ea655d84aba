package fusefs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mounted is a mount that this process serves.
type Mounted struct {
	state  MountState
	fs     *fileSystem
	server *fuse.Server
	done   chan struct{} // closed after the last request
}

// Mount mounts on dir and serves until it is unmounted, by Unmount or anybody. It
// returns when the mount answers. As root it uses mount(2), else fusermount3.
// Errors as for Connect.
func Mount(ctx context.Context, dir string, o Options) (*Mounted, error) {
	conn, abs, err := Connect(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	m, err := Attach(ctx, conn, MountState{Dir: abs}, o)
	if err != nil {
		_ = unmountPoint(context.WithoutCancel(ctx), abs, true)
		if m != nil {
			m.Wait()
		}
		return nil, err
	}
	m.raiseReadAhead()
	return m, nil
}

func (m *Mounted) serve() {
	defer close(m.done)
	m.server.Serve()
}

// awaitAnswer returns when the mount answers. It opens and polls a name that
// go-fuse answers by itself: the first poll of a mount must not come from the
// Go runtime, which holds a processor while it waits (go-fuse's "poll hack").
func (m *Mounted) awaitAnswer(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() {
		fd, err := unix.Open(filepath.Join(m.state.Dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			unix.Close(fd)
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			return fmt.Errorf("mount %s: no answer: %w", m.state.Dir, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("mount %s: no answer: %w", m.state.Dir, ctx.Err())
	}
}

// raiseReadAhead lets one sequential reader have more on the way than the
// kernel's 128 KiB. Only root may; without it reads are right and slower.
func (m *Mounted) raiseReadAhead() {
	if m.fs.o.ReadAheadKiB < 0 {
		return
	}
	info, ok, err := mountAt(m.state.Dir)
	if err != nil || !ok {
		return
	}
	path := "/sys/class/bdi/" + info.device + "/read_ahead_kb"
	if err := os.WriteFile(path, []byte(strconv.Itoa(m.fs.o.ReadAheadKiB)), 0); err != nil {
		m.fs.o.Logger.Debug("read-ahead stays at the kernel's default", "error", err)
	}
}

// Dir gives the mount point, absolute and without symlinks.
func (m *Mounted) Dir() string { return m.state.Dir }

// State gives what another process needs to take the mount over.
func (m *Mounted) State() MountState { return m.state }

// Requests gives what the kernel asked so far.
func (m *Mounted) Requests() Requests { return m.fs.count.requests() }

// Wait returns when the mount has ended and nothing of it runs any more.
func (m *Mounted) Wait() { <-m.done }

// Done is closed when Wait returns.
func (m *Mounted) Done() <-chan struct{} { return m.done }

// Unmount ends the mount and waits for it, as long as ctx allows. A lazy one is
// taken out of the tree at once and not waited for: it ends when the last file
// is closed. Errors as for the function Unmount.
func (m *Mounted) Unmount(ctx context.Context, lazy bool) error {
	if err := Unmount(ctx, m.state.Dir, lazy); err != nil || lazy {
		return err
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("unmount %s: %w", m.state.Dir, ctx.Err())
	}
}
