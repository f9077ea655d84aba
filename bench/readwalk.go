package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// direntBuffer is what C libraries ask for at once, so find, ls, rsync and Python too.
// Go's own package asks for 8 KiB, and Linux since 6.16 asks a FUSE file system for no
// more than its caller wants.
const direntBuffer = 32 << 10

// walkNames reads all directories below Root. j.Ops is the number of files that
// are there.
func walkNames(ctx context.Context, j job, t *tally) error { return walkAll(ctx, j, t, false) }

// walkAttributes asks for the attributes of each file too.
func walkAttributes(ctx context.Context, j job, t *tally) error { return walkAll(ctx, j, t, true) }

func walkAll(ctx context.Context, j job, t *tally, attributes bool) error {
	w := walker{ctx: ctx, attributes: attributes, buf: make([]byte, direntBuffer)}
	files := int64(0)
	err := passes(ctx, j, func() error {
		start := time.Now()
		n, err := w.walk(unix.AT_FDCWD, j.Root)
		if err == nil && n != j.Ops {
			err = fmt.Errorf("the walk saw %d files, want %d", n, j.Ops)
		}
		t.op(start, 0, nil)
		files += int64(n)
		return err
	})
	t.out.Ops = files
	return err
}

// walker goes through directories as find does: each is read to its end, then its
// files are looked at, by their names in it.
type walker struct {
	ctx        context.Context
	attributes bool
	buf        []byte
}

// dirent is a name in a directory.
type dirent struct {
	name string
	kind byte // DT_UNKNOWN where the file system does not tell
}

// walk counts the files below a directory of the directory at.
func (w *walker) walk(at int, name string) (files int, err error) {
	if w.ctx.Err() != nil {
		return 0, w.ctx.Err()
	}
	dir, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(dir)
	entries, err := w.list(dir)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", name, err)
	}
	for _, e := range entries {
		n, err := w.entry(dir, e)
		if err != nil {
			return files, fmt.Errorf("%s: %w", e.name, err)
		}
		files += n
	}
	return files, nil
}

// entry counts the files that e is.
func (w *walker) entry(dir int, e dirent) (files int, err error) {
	isDir := e.kind == unix.DT_DIR
	if w.attributes && !isDir || e.kind == unix.DT_UNKNOWN {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return 0, err
		}
		isDir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	if isDir {
		return w.walk(dir, e.name)
	}
	return 1, nil
}

// list reads a directory to its end.
func (w *walker) list(dir int) (all []dirent, err error) {
	for {
		n, err := unix.Getdents(dir, w.buf)
		if err != nil || n == 0 {
			return all, err
		}
		for rest := w.buf[:n]; len(rest) > 0; { // struct linux_dirent64
			const length, kind, name = 16, 18, 19
			end := binary.NativeEndian.Uint16(rest[length:])
			e := dirent{unix.ByteSliceToString(rest[name:end]), rest[kind]}
			if e.name != "." && e.name != ".." {
				all = append(all, e)
			}
			rest = rest[end:]
		}
	}
}
