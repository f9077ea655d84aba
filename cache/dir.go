package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// The names inside a cache directory; nothing else in it is touched.
const (
	lockName    = "lock"
	formatName  = "format"
	indexName   = "index"
	objectsName = "objects"
	reserveName = "reserve"
	trashPrefix = "trash-"
	formatText  = "pinfs cache 1\n"
)

// reserveBytes is kept allocated so that, when somebody else fills the file
// system, badger's mapped files still have room to be written out.
const reserveBytes = 64 << 20

// directory is the cache directory, held by this process.
type directory struct {
	path string
	lock *os.File
}

// openDirectory creates dir if need be, takes its lock and checks its format.
// Content in another format is emptied.
// lock is the lock, if it is held already.
func openDirectory(dir string, lock *os.File) (*directory, error) {
	if dir == "" {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "open cache", Msg: "no directory given"}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	if err := checkOurs(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(dir, lock)
	if err != nil {
		return nil, err
	}
	d := &directory{path: dir, lock: lock}
	if err := d.checkFormat(); err != nil {
		return nil, errors.Join(dirError(dir, err), lock.Close())
	}
	return d, nil
}

func dirError(dir string, err error) error {
	kind := manifest.KindOther
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		kind = manifest.KindDenied
	}
	return &manifest.Error{Kind: kind, Op: "open cache", Ref: dir, Err: err, Hint: "name a directory that can be written, with --cache-dir"}
}

// checkOurs refuses a directory that holds other things under our names: what
// is there would be emptied as a cache in a foreign format.
func checkOurs(dir string) error {
	if exists(filepath.Join(dir, lockName)) || exists(filepath.Join(dir, formatName)) {
		return nil
	}
	for _, name := range []string{indexName, objectsName, reserveName} {
		if exists(filepath.Join(dir, name)) {
			return &manifest.Error{Kind: manifest.KindInvalid, Op: "open cache", Ref: dir,
				Msg: "it holds '" + name + "' and is no cache", Hint: "name an empty directory"}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// takeLock locks dir. The lock is of the open file, not of the process: held is the one
// that a process before had, nil if there is none.
func takeLock(dir string, held *os.File) (f *os.File, err error) {
	path := filepath.Join(dir, lockName)
	if f = held; held == nil || !isAt(held, path) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return nil, dirError(dir, err)
	}
	switch err := lockSoon(f); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(busyError(dir, f), f.Close())
	case err != nil:
		return nil, errors.Join(dirError(dir, err), f.Close())
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(f.Truncate(0), writeAt(f, pid)); err != nil {
		return nil, errors.Join(dirError(dir, err), f.Close())
	}
	return f, nil
}

// lockSoon locks f, which somebody may look at (Held) just now.
func lockSoon(f *os.File) (err error) {
	for range 5 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// Held tells whether somebody holds dir: a process that has it open, or who keeps the
// lock for the next one.
func Held(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return false
	}
	defer f.Close() // and with it the lock
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// isAt tells whether f is the file at path: the directory may have been replaced.
func isAt(f *os.File, path string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	at, err := os.Lstat(path)
	return err == nil && os.SameFile(is, at)
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func busyError(dir string, lock *os.File) error {
	text := make([]byte, 32)
	n, _ := lock.ReadAt(text, 0)
	holder := "another process"
	if pid := strings.TrimSpace(string(text[:n])); pid != "" {
		holder = "process " + pid
	}
	return &manifest.Error{Kind: manifest.KindBusy, Op: "open cache",
		Msg:  fmt.Sprintf("cache directory %s is held by %s", dir, holder),
		Hint: "stop it, or use another directory"}
}

// checkFormat empties a directory of another format, and a new one's leftovers.
func (d *directory) checkFormat() error {
	text, err := os.ReadFile(d.join(formatName))
	if err == nil && string(text) == formatText {
		return nil
	}
	if err := d.empty(); err != nil {
		return err
	}
	return os.WriteFile(d.join(formatName), []byte(formatText), 0o600)
}

// empty puts index and objects aside in one step each; sweepTrash removes them.
func (d *directory) empty() error {
	for _, name := range []string{indexName, objectsName} {
		if !exists(d.join(name)) {
			continue
		}
		aside, err := os.MkdirTemp(d.path, trashPrefix)
		if err != nil {
			return err
		}
		if err := os.Rename(d.join(name), filepath.Join(aside, name)); err != nil {
			return err
		}
	}
	return nil
}

// trash lists what empty put aside.
func (d *directory) trash() []string {
	found, err := filepath.Glob(filepath.Join(d.path, trashPrefix+"*"))
	if err != nil {
		return nil // only a bad pattern, which d.path may be; it is tried by name then
	}
	return found
}

func (d *directory) join(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// allocateReserve makes the reserve file unless it is there; freeReserve gives
// its room back to the file system.
func (d *directory) allocateReserve() error {
	f, err := os.OpenFile(d.join(reserveName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, reserveBytes), f.Close())
}

func (d *directory) freeReserve() error {
	err := os.Remove(d.join(reserveName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *directory) close() error { return d.lock.Close() }
