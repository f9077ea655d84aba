package fusefs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// Mounted is a mount that this process serves.
type Mounted struct {
	state  MountState
	fs     *fileSystem
	server *fuse.Server
	done   chan struct{} // closed after the last request
	// pushing is held for reading from before a content is taken until the kernel has
	// it, and for writing before the kernel is made to forget.
	pushing sync.RWMutex
}

// Mount mounts on dir and serves until it is unmounted, by Unmount or anybody. It
// returns when the mount is served. As root it uses mount(2), else fusermount3.
// Errors as for Connect.
func Mount(ctx context.Context, dir string, o Options) (*Mounted, error) {
	conn, abs, err := Connect(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if o.Keeper != nil {
		err = o.Keeper.Made(conn, abs)
	}
	var m *Mounted
	if err == nil {
		m, err = Attach(conn, MountState{Dir: abs}, o)
	}
	if err != nil {
		_ = unmountPoint(context.WithoutCancel(ctx), abs, true)
		return nil, err
	}
	m.raiseReadAhead()
	return m, nil
}

func (m *Mounted) serve() {
	defer close(m.done)
	m.server.Serve()
}

// raiseReadAhead lets one sequential reader have more on the way than the
// kernel's 128 KiB. Only root may; without it reads are right and slower.
func (m *Mounted) raiseReadAhead() {
	if m.fs.o.ReadAheadKiB < 0 || m.state.Device == "" {
		return
	}
	path := "/sys/class/bdi/" + m.state.Device + "/read_ahead_kb"
	if err := os.WriteFile(path, []byte(strconv.Itoa(m.fs.o.ReadAheadKiB)), 0); err != nil {
		m.fs.o.Logger.Debug("read-ahead stays at the kernel's default", "error", err)
	}
}

// Dir gives the mount point, absolute and without symlinks.
func (m *Mounted) Dir() string { return m.state.Dir }

// State gives what another process needs to take the mount over.
func (m *Mounted) State() MountState { return m.state }

// Visible tells whether the mount is still to be seen at its directory: anybody may
// have unmounted it, or mounted over it. It asks the mount nothing.
func (m *Mounted) Visible() bool {
	info, ok, err := mountAt(m.state.Dir)
	return err == nil && ok && info.device == m.state.Device
}

// Abort makes the kernel drop the connection: all who wait get an error. Without
// the control file system only the end of this process does that.
func (m *Mounted) Abort() error {
	_, minor, _ := strings.Cut(m.state.Device, ":")
	return os.WriteFile("/sys/fs/fuse/connections/"+minor+"/abort", []byte("1"), 0)
}

// Open tells how files are opened, and if that is not as Options.Open asked, why.
func (m *Mounted) Open() (mode OpenMode, reason string) {
	if m.fs.opens != nil {
		return OpenPassthrough, ""
	}
	return OpenStateless, m.fs.noPassthrough
}

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
	}
	if m.Visible() {
		return fmt.Errorf("unmount %s: %w", m.state.Dir, ctx.Err())
	}
	return &manifest.Error{Kind: manifest.KindBusy, Op: "unmount", Ref: m.state.Dir, Err: ctx.Err(),
		Msg: "it is out of sight here, and does not end", Hint: "another mount namespace (a container) still has it"}
}
