package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

const (
	socketName = "control.sock"
	// maxConns bounds the requests that are under way.
	maxConns = 64
)

// inDir calls fn with a path of the socket in dir that is short enough for the
// kernel (108 bytes) however long dir's own is: through a descriptor of dir.
func inDir(dir string, fn func(path string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", fd, socketName))
}

// listen binds the control socket of dir, whose lock the caller holds: a socket
// that is there belongs to a process that is gone.
func listen(dir string) (*guarded, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var l *net.UnixListener
	err := inDir(dir, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // by a path of that descriptor, which is closed
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &guarded{UnixListener: l, path: path, slots: make(chan struct{}, maxConns), closed: make(chan struct{})}, nil
}

// guarded accepts connections of the same user and of root, a bounded number at
// a time.
type guarded struct {
	*net.UnixListener
	path   string
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a free slot, then for a connection that may ask.
func (g *guarded) Accept() (net.Conn, error) {
	select {
	case g.slots <- struct{}{}:
	case <-g.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := g.AcceptUnix()
		if err != nil {
			<-g.slots
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && (uid == 0 || uid == os.Geteuid()) {
			return &slotConn{Conn: conn, slots: g.slots}, nil
		}
		conn.Close()
	}
}

// Close stops listening and removes the socket.
func (g *guarded) Close() error {
	g.once.Do(func() {
		close(g.closed)
		os.Remove(g.path) // before anybody can think of a refused connection as of a dead daemon's
	})
	return g.UnixListener.Close()
}

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *slotConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

// peerUID is the user at the other end.
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	uid, failed := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if failed = err; err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid, errors.Join(err, failed)
}

// dial connects to the daemon of dir. ErrNoDaemon when there is none.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := inDir(dir, func(short string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, ErrNoDaemon
	case errors.Is(err, unix.EACCES):
		return nil, &manifest.Error{Kind: manifest.KindBusy, Op: "connect", Ref: filepath.Join(dir, socketName),
			Msg: "the cache directory belongs to another user", Hint: "use another --cache-dir"}
	case err != nil:
		return nil, err
	}
	if uid, err := peerUID(conn.(*net.UnixConn)); err != nil || uid != 0 && uid != os.Geteuid() && os.Geteuid() != 0 {
		conn.Close()
		return nil, &manifest.Error{Kind: manifest.KindBusy, Op: "connect", Ref: filepath.Join(dir, socketName),
			Msg: "another user's process answers there", Hint: "use another --cache-dir"}
	}
	return conn, nil
}
