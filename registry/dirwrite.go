package registry

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// Modes of what the store makes; the umask takes its bits away.
const (
	dirMode    = 0o777
	recordMode = 0o666
	fileMode   = 0o444 // of files that never change
)

// PutIfAbsent links a synced temporary file to its name. The look before spares
// the losers of a race the writing.
func (d *DirStore) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	path, err := d.start(ctx, "create", key)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return conflict("create", key)
	}
	tmp, err := d.writeTemp(data)
	if err != nil {
		return d.fail("create", key, err)
	}
	defer tmp.discard()
	err = d.place(ctx, tmp.path, path)
	if errors.Is(err, fs.ErrExist) {
		return conflict("create", key)
	}
	return d.fail("create", key, err)
}

// PutIfUnchanged compares and renames under the lock.
func (d *DirStore) PutIfUnchanged(ctx context.Context, key string, data []byte, tag Tag) error {
	path, err := d.start(ctx, "change", key)
	if err != nil {
		return err
	}
	tmp, err := d.writeTemp(data)
	if err != nil {
		return d.fail("change", key, err)
	}
	defer tmp.discard()
	unlock, err := d.lock(ctx)
	if err != nil {
		return d.fail("change", key, err)
	}
	defer unlock()
	now, err := readRecord(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && tagOf(now) != tag) {
		return conflict("change", key)
	}
	if err == nil {
		err = os.Rename(tmp.path, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return d.fail("change", key, err)
}

// Delete unlinks under the lock, so that it never falls between a change's look
// and its rename. Folders stay: a creator may be about to link into one.
func (d *DirStore) Delete(ctx context.Context, key string) error {
	path, err := d.start(ctx, "delete", key)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return d.fail("delete", key, err)
	}
	defer unlock()
	err = os.Remove(path)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.fail("delete", key, err)
}

// PutFile links a file that was built in a folder of MakeTemp to its name, and a
// copy of any other.
func (d *DirStore) PutFile(ctx context.Context, key, local string) error {
	path, err := d.start(ctx, "store", key)
	if err != nil {
		return err
	}
	if have, err := d.sameSize(key, path, local); have || err != nil {
		return err
	}
	if err = d.settle(local); err == nil {
		err = d.place(ctx, local, path)
	} else {
		err = d.placeCopy(ctx, local, path)
	}
	if errors.Is(err, fs.ErrExist) {
		_, err = d.sameSize(key, path, local)
	}
	return d.fail("store", key, err)
}

// sameSize tells whether key is there already. One of another size can't have the
// content that its name says.
func (d *DirStore) sameSize(key, path, local string) (bool, error) {
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	ours, err2 := os.Stat(local)
	if err := errors.Join(err, err2); err != nil {
		return false, d.fail("store", key, err)
	}
	if there.Size() != ours.Size() || !there.Mode().IsRegular() {
		return true, &manifest.Error{Kind: manifest.KindCorrupt, Op: "store", Ref: path, Msg: "the file there is damaged", Hint: "remove it"}
	}
	return true, nil
}

var errForeign = errors.New("not in a folder of MakeTemp")

// settle gives a file in a folder of MakeTemp the mode of files that never change,
// as far as the umask allows (the folder's lock file shows it), and syncs it.
func (d *DirStore) settle(local string) error {
	folder := filepath.Dir(local)
	if filepath.Dir(folder) != filepath.Join(d.dir, tempName) {
		return errForeign
	}
	made, err := os.Lstat(filepath.Join(folder, lockName))
	if err != nil {
		return err
	}
	if err := os.Chmod(local, made.Mode().Perm()&fileMode); err != nil {
		return err
	}
	return syncFile(local)
}

func (d *DirStore) placeCopy(ctx context.Context, local, path string) error {
	from, err := os.Open(local)
	if err != nil {
		return err
	}
	defer from.Close()
	tmp, err := d.newTemp()
	if err != nil {
		return err
	}
	defer tmp.discard()
	if _, err := io.Copy(tmp.file, ctxReader{ctx, from}); err != nil {
		return err
	}
	made, err := tmp.file.Stat()
	if err != nil {
		return err
	}
	if err := errors.Join(tmp.file.Chmod(made.Mode().Perm()&fileMode), tmp.file.Sync()); err != nil {
		return err
	}
	return d.place(ctx, tmp.path, path)
}

// ctxReader ends a copy when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p[:min(len(p), 1<<20)])
}

// place gives tmp's file the name path if nothing has it; fs.ErrExist otherwise.
func (d *DirStore) place(ctx context.Context, tmp, path string) error {
	err := os.Link(tmp, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Link(tmp, path)
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !sameFile(tmp, path):
		return err
	case err == nil, errors.Is(err, fs.ErrExist):
		return syncDir(filepath.Dir(path))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EMLINK):
		return d.placeByRename(ctx, tmp, path)
	}
	return err
}

// placeByRename is place for file systems without hard links: all creators there
// come this way, one at a time.
func (d *DirStore) placeByRename(ctx context.Context, tmp, path string) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func sameFile(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// makeDirs makes dir and what is missing above it, each durable.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, dirMode)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes the names in dir durable. File systems that can't sync a directory
// say EINVAL or ENOTSUP, and one that can be written but not read EACCES; there is
// nothing more to do on them.
func syncDir(dir string) error {
	err := syncFile(dir)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EACCES) {
		return nil
	}
	return err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
