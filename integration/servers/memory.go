package servers

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sharedMemory = "/dev/shm"
	memoryRoom   = 2 << 30         // bytes that must be free there
	memoryGrace  = 5 * time.Minute // for the time between making a directory and locking it
	lockName     = "lock"
)

// memoryDir makes a directory in memory for a server that syncs each write, or
// in the temporary directory when memory is scarce. What test binaries that
// were killed left in memory is removed first: nobody else would. unlock is to
// be called before the directory is removed.
func memoryDir(prefix string) (dir string, unlock func(), err error) {
	if !roomInMemory() {
		dir, err = os.MkdirTemp("", prefix)
		return dir, func() {}, err
	}
	sweep(filepath.Join(sharedMemory, prefix+"*"))
	if dir, err = os.MkdirTemp(sharedMemory, prefix); err != nil {
		return "", nil, err
	}
	if unlock, err = lock(dir); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, unlock, nil
}

// lock says that a directory is in use, until unlock or the end of this process.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func roomInMemory() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(sharedMemory, &st); err != nil {
		return false
	}
	return unix.Access(sharedMemory, unix.W_OK) == nil && st.Bavail*uint64(st.Bsize) >= memoryRoom
}

// sweep removes the directories whose lock nobody holds.
func sweep(pattern string) {
	dirs, _ := filepath.Glob(pattern) // the pattern is good
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < memoryGrace {
			continue
		}
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil { // killed before it made one
			_ = os.RemoveAll(dir)
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // somebody else's may stay
		}
		_ = lock.Close()
	}
}
