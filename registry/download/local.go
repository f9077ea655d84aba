package download

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

const (
	dirMode  = 0o777 // the umask takes its bits away
	fileMode = 0o666
)

// localError marks what went wrong on this host's disk, not at the source.
type localError struct{ err error }

func (e localError) Error() string { return e.err.Error() }
func (e localError) Unwrap() error { return e.err }

func local(err error) error {
	if err == nil {
		return nil
	}
	return localError{err}
}

// final tells whether err will meet every other file too, as a typed error.
func final(root string, err error) (error, bool) {
	var disk localError
	if !errors.As(err, &disk) {
		return nil, false
	}
	e := &manifest.Error{Op: "get", Ref: root, Err: disk.err}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.Msg, e.Hint = "the disk is full", "free space or choose another --root; what is there is kept"
	case errors.Is(err, unix.EROFS):
		e.Kind, e.Msg, e.Hint = manifest.KindDenied, "the file system is read-only", "choose another --root"
	default:
		return nil, false
	}
	return e, true
}

// tempFile is a file that will get its name when it is complete. It is locked
// (flock), so that two Gets into one directory don't write one file.
type tempFile struct {
	*os.File
	root *os.Root
	name string
}

// openTemp makes the temporary file for the path p, in the same folder, or takes
// over the one that a killed Get left.
func openTemp(root *os.Root, p string) (*tempFile, error) {
	sum := sha256.Sum256([]byte(p))
	name := path.Join(path.Dir(p), ".pinfs-"+hex.EncodeToString(sum[:8])+".part")
	t, err := lockTemp(root, name, 0)
	if errors.Is(err, errTaken) {
		name = path.Join(path.Dir(p), ".pinfs-"+rand.Text()+".part")
		t, err = lockTemp(root, name, os.O_EXCL)
	}
	return t, err
}

var errTaken = errors.New("another process has the temporary file")

// lockTemp opens and locks name. Between the two the file may have been renamed to
// its place by another Get; then it is not ours to write.
func lockTemp(root *os.Root, name string, flag int) (*tempFile, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|flag, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, errTaken
	}
	mine, err := f.Stat()
	there, err2 := root.Lstat(name)
	if err != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, errTaken
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	return &tempFile{f, root, name}, nil
}

// reserve makes room for size bytes, so that a full disk is known before the
// network is asked. File systems without fallocate get a sparse file.
func (t *tempFile) reserve(size int64) error {
	err := unix.Fallocate(int(t.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return t.Truncate(size)
	}
	return err
}

// discard removes the file.
func (t *tempFile) discard() {
	_ = t.root.Remove(t.name)
	_ = t.Close()
}

// commit gives the file its place. It is closed behind that, since closing frees
// the lock; what a network file system says only then takes the file back.
func (t *tempFile) commit(p string) error {
	if err := t.root.Rename(t.name, p); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		_ = t.root.Remove(p)
		return err
	}
	return nil
}

// inPlace opens the regular file at p; nil when there is none of that size (any
// size if unknown).
func inPlace(root *os.Root, p string, size int64) (*os.File, int64) {
	info, err := root.Lstat(p)
	if err != nil || !info.Mode().IsRegular() || (size != manifest.SizeUnknown && info.Size() != size) {
		return nil, 0
	}
	f, err := root.OpenFile(p, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0
	}
	return f, info.Size()
}

// diskWriter marks the errors of writes.
type diskWriter struct{ w io.Writer }

func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	return n, local(err)
}

// placeError says in words what is in the way of a file.
func placeError(p string, err error) error {
	e := &manifest.Error{Op: "get", Ref: p, Err: err}
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, fs.ErrExist), errors.Is(err, unix.ENOTEMPTY):
		e.Kind, e.Msg = manifest.KindInvalid, "a directory is in its place"
	case errors.Is(err, fs.ErrPermission):
		e.Kind = manifest.KindDenied
	}
	return local(e)
}

// folderError says what is in the way of its directory.
func folderError(p string, err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		return local(&manifest.Error{Kind: manifest.KindInvalid, Op: "get", Ref: p, Msg: "a file is in the place of its directory", Err: err})
	}
	if strings.Contains(err.Error(), "path escapes from parent") { // os has no name for it
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "get", Ref: p, Msg: "a symbolic link in its place leads out of the directory"}
	}
	return placeError(p, err)
}
