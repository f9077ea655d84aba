package cache

import (
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is the file operations that the cache does itself (badger does its own).
// Tests put a failing one in its place.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	MkdirAll(name string, perm fs.FileMode) error
	Remove(name string) error
	// Free gives the bytes that an unprivileged user may still write to the file
	// system of dir, and that file system's size.
	Free(dir string) (free, total int64, err error)
}

// File is one object's content: read and written at offsets, by many at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// HostFS is the host's file system.
type HostFS struct{}

var _ FS = HostFS{}

// OpenFile is os.OpenFile.
func (HostFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File is no nil File
	}
	return f, nil
}

// MkdirAll is os.MkdirAll.
func (HostFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

// Remove is os.Remove.
func (HostFS) Remove(name string) error { return os.Remove(name) }

// Free asks statfs(2).
func (HostFS) Free(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// allocated gives the bytes that a file occupies, holes left out.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}
