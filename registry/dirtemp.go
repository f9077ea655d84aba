package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The store's own names.
const (
	tempName = ".tmp"
	lockName = ".lock"
)

// tempFile is a file in .tmp. It is locked (flock) as long as its process lives,
// which is how the sweep tells a leftover.
type tempFile struct {
	file *os.File
	path string
}

// newTemp makes an empty temporary file.
func (d *DirStore) newTemp() (*tempFile, error) {
	d.swept.Do(d.sweep)
	dir := filepath.Join(d.dir, tempName)
	f, err := createTemp(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(dir); err == nil {
			f, err = createTemp(dir)
		}
	}
	if err != nil {
		return nil, err
	}
	_ = tryLock(f) // without a lock its age protects it
	return &tempFile{f, f.Name()}, nil
}

// createTemp is os.CreateTemp with a mode that the umask decides.
func createTemp(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, randomName()), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, recordMode)
}

// writeTemp makes a temporary file with data, synced.
func (d *DirStore) writeTemp(data []byte) (*tempFile, error) {
	if len(data) > MaxRecord {
		return nil, errTooLarge
	}
	t, err := d.newTemp()
	if err != nil {
		return nil, err
	}
	if _, err = t.file.Write(data); err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		t.discard()
		return nil, err
	}
	return t, nil
}

// discard removes the temporary name; what was linked or renamed from it stays.
func (t *tempFile) discard() {
	os.Remove(t.path)
	t.file.Close()
}

// MakeTemp makes a folder in .tmp, so that PutFile can link what is built there. A
// locked file in it tells the sweep that its process lives.
func (d *DirStore) MakeTemp(ctx context.Context) (string, func(), error) {
	if err := ctxError(ctx, "make a temporary folder", d.dir); err != nil {
		return "", nil, err
	}
	d.swept.Do(d.sweep)
	dir := filepath.Join(d.dir, tempName, randomName())
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		err = makeDirs(dir)
	}
	if err != nil {
		return "", nil, d.fail("make a temporary folder", d.dir, err)
	}
	alive, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|os.O_EXCL, recordMode)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, d.fail("make a temporary folder", d.dir, err)
	}
	_ = tryLock(alive)
	return dir, func() { os.RemoveAll(dir); alive.Close() }, nil
}

// Ages below which a leftover is left alone: a process is between making it and
// locking it, or its file system has no locks.
const (
	youngLocked   = time.Minute
	youngUnlocked = 7 * 24 * time.Hour
)

// sweep removes what crashed processes left in .tmp. Errors are no matter: the
// next process tries again.
func (d *DirStore) sweep() {
	dir := filepath.Join(d.dir, tempName)
	for e, err := range entries(dir) {
		if err != nil {
			return
		}
		if path := filepath.Join(dir, e.Name()); isLeftover(path, e.IsDir()) {
			os.RemoveAll(path)
		}
	}
}

func isLeftover(path string, isDir bool) bool {
	info, err := os.Lstat(path)
	if err != nil || time.Since(info.ModTime()) < youngLocked {
		return false
	}
	if isDir {
		path = filepath.Join(path, lockName)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if isDir && errors.Is(err, fs.ErrNotExist) && isEmpty(filepath.Dir(path)) {
		return true // its process died before it made the lock file
	}
	if err == nil {
		defer f.Close()
		err = tryLock(f)
	}
	if err == nil {
		return true
	}
	return !errors.Is(err, unix.EWOULDBLOCK) && time.Since(info.ModTime()) > youngUnlocked
}

func isEmpty(dir string) bool {
	for range entries(dir) {
		return false
	}
	return true
}
