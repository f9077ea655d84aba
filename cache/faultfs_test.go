package cache_test

import (
	"io/fs"
	"sync/atomic"

	"github.com/pinfs/pinfs/cache"
)

// faultFS is the host's file system with as much room as free says. Once armed,
// every operation after the next left ones fails with err.
type faultFS struct {
	cache.HostFS
	free  atomic.Int64
	armed atomic.Bool
	left  atomic.Int64
	err   error
}

var _ cache.FS = (*faultFS)(nil)

func (f *faultFS) fault() error {
	if f.armed.Load() && f.left.Add(-1) < 0 {
		return f.err
	}
	return nil
}

func (f *faultFS) Free(string) (int64, int64, error) { return f.free.Load(), 1 << 42, nil }

func (f *faultFS) OpenFile(name string, flag int, perm fs.FileMode) (cache.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	file, err := f.HostFS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return faultFile{file, f}, nil
}

func (f *faultFS) MkdirAll(name string, perm fs.FileMode) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.HostFS.MkdirAll(name, perm)
}

func (f *faultFS) Remove(name string) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.HostFS.Remove(name)
}

type faultFile struct {
	cache.File
	f *faultFS
}

func (f faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.fault(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.fault(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f faultFile) Truncate(n int64) error {
	if err := f.f.fault(); err != nil {
		return err
	}
	return f.File.Truncate(n)
}
