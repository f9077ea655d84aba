package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// How the kernel's caches are emptied.
const (
	forgetKernel = "kernel" // drop_caches: everything, names and attributes too; root only
	forgetFiles  = "files"  // posix_fadvise, file by file: contents only, and no other's
)

// forgetBest is the most thorough way that is open.
func forgetBest() string {
	if canForget(forgetKernel) != nil {
		return forgetFiles
	}
	return forgetKernel
}

// kindForget is what a reader process does then with a mount.
const kindForget = "forget"

// canForget is nil when the way is open.
func canForget(how string) error {
	switch how {
	case forgetFiles:
		return nil
	case forgetKernel:
		f, err := os.OpenFile("/proc/sys/vm/drop_caches", os.O_WRONLY, 0)
		if err != nil {
			return errors.New("needs root, to drop the kernel's caches; -forget files does without")
		}
		return f.Close()
	}
	return fmt.Errorf("-forget is %s or %s", forgetKernel, forgetFiles)
}

// forgetFilesBelow writes what is dirty below dir, and with drop makes the kernel
// forget what it has in memory of the files.
func forgetFilesBelow(ctx context.Context, dir string, drop bool) error {
	return eachFile(ctx, dir, func(f *os.File) error {
		// A file system that can't (FUSE, read only) has nothing to write.
		_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		if !drop {
			return nil
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// emptyFilesBelow gives back what the files below dir take, but for their inodes: ext4
// gives none away that was freed in the last minutes, and who then makes files, the
// next contender, pays for a look at each.
func emptyFilesBelow(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			_ = os.Truncate(path, 0)
		}
		return nil // what can't be emptied goes with the lab
	})
}

// dropCaches makes the kernel forget what it read, of all file systems; what is
// dirty stays.
func dropCaches() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) }

// forgetMounted is for a reader process: it asks a mount to forget its contents.
func forgetMounted(ctx context.Context, j job, _ *tally) error {
	return forgetFilesBelow(ctx, j.Root, true)
}

// readTree reads all files below dir, so that the kernel has them in memory.
func readTree(ctx context.Context, dir string) error {
	buf := make([]byte, 1<<20)
	return eachFile(ctx, dir, func(f *os.File) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		return err
	})
}

// eachFile opens all files below dir, one by one. One that goes meanwhile is no error.
func eachFile(ctx context.Context, dir string, do func(*os.File) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return do(f)
	})
}
