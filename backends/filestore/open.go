package filestore

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// state is what tells that a file was changed or replaced.
type state struct {
	size     int64
	modTime  time.Time
	dev, ino uint64
}

func (s state) String() string {
	return fmt.Sprintf("%d bytes of %s (inode %d)", s.size, s.modTime.UTC().Format(time.RFC3339Nano), s.ino)
}

func (s state) same(o state) bool {
	return s.size == o.size && s.modTime.Equal(o.modTime) && s.dev == o.dev && s.ino == o.ino
}

func stateOf(fi fs.FileInfo) state {
	st := state{size: fi.Size(), modTime: fi.ModTime()}
	if sys, ok := fi.Sys().(*syscall.Stat_t); ok {
		st.dev, st.ino = sys.Dev, sys.Ino
	}
	return st
}

// file is an open regular file and its state when it was opened.
type file struct {
	f     *os.File
	path  string
	ref   string
	state state
}

// open opens a regular file and never waits for the writer of a FIFO. Errors are
// those of the system, an irregular, or typed ones.
func (s *Store) open(ctx context.Context, op, ref, path string) (*file, error) {
	return call(ctx, &s.guard, op, ref, func() (*file, error) {
		if err := s.enter("open", path); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		fi, err := f.Stat()
		if err == nil && !fi.Mode().IsRegular() {
			err = &irregular{fi.Mode()}
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return &file{f: f, path: path, ref: ref, state: stateOf(fi)}, nil
	}, func(f *file) { _ = f.f.Close() })
}

// shut closes f, which a share may keep waiting too. It is done even when no
// other call is let in any more, or descriptors would be lost.
func (s *Store) shut(f *os.File, ref string) error {
	_, err := await(context.Background(), &s.guard, "close", ref, func() (struct{}, error) {
		return struct{}{}, f.Close()
	}, nil)
	return err
}

// readAt reads into a buffer that the call owns, so that nobody writes into a
// caller's memory after it left. It gives the state after the read.
func (s *Store) readAt(ctx context.Context, op string, f *file, size int, offset int64) (*chunk, error) {
	c, err := call(ctx, &s.guard, op, f.ref, func() (*chunk, error) {
		if err := s.enter("read", f.path); err != nil {
			return nil, err
		}
		c := s.chunk(size)
		n, err := f.f.ReadAt(c.data[:size], offset)
		if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt's own rule
			c.free()
			return nil, err
		}
		c.data, c.eof = c.data[:n], err == io.EOF //nolint:errorlint // as above
		fi, err := f.f.Stat()
		if err != nil {
			c.free()
			return nil, err
		}
		c.state = stateOf(fi)
		return c, nil
	}, func(c *chunk) { c.free() })
	if err != nil {
		return nil, failed(op, f.ref, err)
	}
	return c, nil
}

// chunk is a piece of a file, in a pooled buffer unless it is small.
type chunk struct {
	data  []byte
	eof   bool
	state state
	free  func()
}

func (s *Store) chunk(size int) *chunk {
	if size <= bufferSize/16 {
		return &chunk{data: make([]byte, size), free: func() {}}
	}
	b := s.buffers.Get().(*[bufferSize]byte)
	return &chunk{data: b[:], free: func() { s.buffers.Put(b) }}
}

// Open implements backends.Backend. Only the size is compared, here; a file of
// another size is KindChanged in W&B's words.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	f, err := s.pinned(ctx, "open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	if want, known := sizeOf(obj); known && f.state.size != want {
		err := s.mismatch(ctx, "open", f, obj)
		_ = s.shut(f.f, f.ref)
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
