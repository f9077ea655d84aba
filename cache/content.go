package cache

import (
	"errors"
	"io/fs"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// content is the file of one object, opened twice where the file system allows it:
// the second time past the kernel's page cache, so that memory does not hold twice
// what passes through here, and is not copied into it. The file is exactly as long
// as the object: what is behind its last whole page goes the ordinary way.
type content struct {
	File
	direct File // nil: the file system has no O_DIRECT
	off    *atomic.Bool
}

var _ File = (*content)(nil)

// openContent opens a content file.
func (c *Cache) openContent(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := c.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	ct := &content{File: f, off: &c.noDirect}
	if c.noDirect.Load() {
		return ct, nil
	}
	ct.direct, err = c.fs.OpenFile(name, flag|unix.O_DIRECT, perm)
	if err != nil {
		ct.direct = nil
		ct.refused(err)
	}
	return ct, nil
}

// refused tells whether err says that the file system does no such input and
// output; nothing is tried that way from then on.
func (ct *content) refused(err error) bool {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		ct.off.Store(true)
		return true
	}
	return false
}

// mayDirect tells whether b at off can be moved past the page cache, its last
// bytes left out.
func (ct *content) mayDirect(b []byte, off int64) bool {
	return ct.direct != nil && len(b) >= pageSize && off%pageSize == 0 && aligned(b) && !ct.off.Load()
}

// WriteAt writes past the page cache what lies in whole pages. What could not is
// dropped from it when it is on disk: this waits for the disk, as the other way does.
func (ct *content) WriteAt(b []byte, off int64) (n int, err error) {
	if ct.mayDirect(b, off) {
		n, err = ct.direct.WriteAt(b[:len(b)/pageSize*pageSize], off)
		if err != nil && !ct.refused(err) {
			return n, err
		}
		if err != nil {
			n = 0
		}
	}
	if n == len(b) {
		return n, nil
	}
	m, err := ct.File.WriteAt(b[n:], off+int64(n))
	if err == nil && m >= dropFrom {
		uncache(ct.File, off+int64(n), int64(m))
	}
	return n + m, err
}

// readPast is ReadAt past the page cache, for a buffer that is a page-aligned one.
func (ct *content) readPast(b []byte, off int64) (n int, err error) {
	if ct.mayDirect(b, off) {
		n, err = ct.direct.ReadAt(b[:len(b)/pageSize*pageSize], off)
		if err != nil && !ct.refused(err) {
			return n, err
		}
		if err != nil {
			n = 0
		}
	}
	if n == len(b) {
		return n, nil
	}
	m, err := ct.File.ReadAt(b[n:], off+int64(n))
	return n + m, err
}

// readContent reads past the page cache if f can.
func readContent(f File, b []byte, off int64) (int, error) {
	if ct, ok := f.(*content); ok {
		return ct.readPast(b, off)
	}
	return f.ReadAt(b, off)
}

// Close closes both.
func (ct *content) Close() error {
	if ct.direct == nil {
		return ct.File.Close()
	}
	return errors.Join(ct.File.Close(), ct.direct.Close())
}

// dropFrom is the least that is worth the calls.
const dropFrom = 1 << 20

// uncache has the kernel write a range of f out and forget it. It is not yet
// complete, so that nobody reads it through the page cache.
func uncache(f File, off, n int64) {
	host, ok := f.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := host.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // it is for the memory alone
		const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if unix.SyncFileRange(int(fd), off, n, all) == nil {
			_ = unix.Fadvise(int(fd), off, n, unix.FADV_DONTNEED)
		}
	})
}
