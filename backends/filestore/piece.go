package filestore

import (
	"context"
	"os"
	"syscall"
)

// chunk is a piece of a file, in a pooled buffer, and the file's state after it
// was read.
type chunk struct {
	data  []byte
	eof   bool
	state state
	free  func()
}

func (s *Store) chunk(size int) *chunk {
	if size <= smallSize {
		b := s.smalls.Get().(*[smallSize]byte)
		return &chunk{data: b[:size], free: func() { s.smalls.Put(b) }}
	}
	b := s.buffers.Get().(*[bufferSize]byte)
	return &chunk{data: b[:size], free: func() { s.buffers.Put(b) }}
}

// readFD reads into a buffer of its own until it is full or the file ends.
func (s *Store) readFD(fd int, path string, size int, offset int64) (*chunk, error) {
	if err := s.enter("read", path); err != nil {
		return nil, err
	}
	c := s.chunk(size)
	filled := 0
	for filled < size {
		n, err := again(func() (int, error) { return syscall.Pread(fd, c.data[filled:], offset+int64(filled)) })
		if err != nil {
			c.free()
			return nil, os.NewSyscallError("read", err)
		}
		if n == 0 {
			c.eof = true
			break
		}
		filled += n
	}
	c.data = c.data[:filled]
	var err error
	if c.state, err = stateOf(fd); err != nil {
		c.free()
		return nil, err
	}
	return c, nil
}

// readAt reads a piece in a call on the file's share, which owns the buffer, so
// that nobody writes into a caller's memory after it left.
func (s *Store) readAt(ctx context.Context, op string, f *file, size int, offset int64) (*chunk, error) {
	c, err := call(ctx, f.share, op, f.ref, func() (*chunk, error) {
		var c *chunk
		raw, err := f.f.SyscallConn()
		if err != nil {
			return nil, err
		}
		if controlErr := raw.Control(func(fd uintptr) { c, err = s.readFD(int(fd), f.path, size, offset) }); controlErr != nil {
			return nil, controlErr
		}
		return c, err
	}, func(c *chunk) { c.free() })
	if err != nil {
		return nil, failed(op, f.ref, err)
	}
	return c, nil
}
