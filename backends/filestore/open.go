package filestore

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// file is an open regular file and its state when it was opened.
type file struct {
	f     *os.File
	share *share
	path  string
	ref   string
	state state
}

// open opens a regular file and never waits for the writer of a FIFO. Errors are
// those of the system, an irregular, a refusal of the rules, or typed ones.
func (s *Store) open(ctx context.Context, op, ref, path string) (*file, error) {
	if err := s.outside(ctx, op, ref, path); err != nil {
		return nil, err
	}
	sh, err := s.shares.of(ctx, op, ref, filepath.Dir(filepath.Clean(path)))
	if err != nil {
		return nil, err
	}
	return call(ctx, sh, op, ref, func() (*file, error) {
		fd, st, err := s.openFD(path)
		if err != nil {
			return nil, err
		}
		return &file{f: os.NewFile(uintptr(fd), path), share: sh, path: path, ref: ref, state: st}, nil
	}, func(f *file) { _ = f.f.Close() })
}

// openFD is open without what os.OpenFile does besides. The descriptor is of a
// regular file.
func (s *Store) openFD(path string) (int, state, error) {
	if err := s.enter("open", path); err != nil {
		return -1, state{}, err
	}
	open := openPath
	if s.rules != nil {
		open = s.openRuled
	}
	fd, err := open(path, syscall.O_RDONLY|syscall.O_NONBLOCK)
	if err != nil {
		return -1, state{}, err
	}
	st, err := stateOf(fd)
	if err != nil {
		_ = syscall.Close(fd)
		return -1, state{}, err
	}
	return fd, st, nil
}

func openPath(path string, flags int) (int, error) {
	fd, err := again(func() (int, error) { return syscall.Open(path, flags|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// again repeats a system call that a signal interrupted.
func again(fn func() (int, error)) (int, error) {
	for {
		n, err := fn()
		if err != syscall.EINTR { //nolint:errorlint // as the system gives it
			return n, err
		}
	}
}

// shut closes f, which a share may keep waiting too. It takes no slot, or
// descriptors would be lost where no other call is let in any more.
func shut(sh *share, f *os.File, ref string) error {
	_, err := await(context.Background(), sh, "close", ref, func() (struct{}, error) {
		return struct{}{}, f.Close()
	}, nil)
	return err
}

func (f *file) close() error { return shut(f.share, f.f, f.ref) }

// Open implements backends.Backend. Only the size is compared, here; a file of
// another size is KindChanged in W&B's words.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	f, err := s.pinned(ctx, "open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	if want, known := sizeOf(obj); known && f.state.size != want {
		err := s.mismatch(ctx, "open", f, obj)
		_ = f.close()
		return nil, backends.Info{}, err
	}
	from := min(max(0, offset), f.state.size)
	to := f.state.size
	if length >= 0 {
		to = from + min(length, to-from)
	}
	return &stream{ctx: ctx, s: s, f: f, pos: from, end: to}, f.info(), nil
}

// pinned opens the file of an object that is pinned by its content.
func (s *Store) pinned(ctx context.Context, op string, obj manifest.Object) (*file, error) {
	path, err := pathOf(op, obj.Ref)
	if err != nil {
		return nil, err
	}
	if obj.Pin.Kind != manifest.PinMD5 {
		return nil, backends.Unpinned(op, obj)
	}
	f, err := s.open(ctx, op, obj.Ref, path)
	if err != nil {
		return nil, objectError(op, obj, err)
	}
	return f, nil
}

// info is what is known of f without reading it.
func (f *file) info() backends.Info {
	return backends.Info{Name: filepath.Base(f.path), Ref: f.ref, Size: f.state.size, ModTime: f.state.modTime}
}

// emptyMD5 is the digest of no bytes.
const emptyMD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="

// sizeOf gives the recorded size, if it is known: W&B's Go client writes 0 for
// sizes that it does not know.
func sizeOf(obj manifest.Object) (int64, bool) {
	return obj.Size, obj.Size > 0 || obj.Size == 0 && obj.Digest == emptyMD5
}
