package fusefs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// probeTimeout bounds how long something mounted already may take to answer.
const probeTimeout = 5 * time.Second

// preparePoint checks that dir can be mounted on and gives it absolute and without
// symlinks. What a killed pinfs left mounted there is detached.
func preparePoint(ctx context.Context, dir string, nonEmpty bool, log *slog.Logger) (string, error) {
	abs, err := resolveDir(dir)
	if err != nil {
		return "", pointError(dir, err)
	}
	for {
		m, mounted, err := mountAt(abs)
		if err != nil {
			return "", pointError(dir, err)
		}
		if !mounted {
			break
		}
		dead, err := isDead(ctx, abs)
		if err != nil {
			return "", &manifest.Error{Kind: manifest.KindBusy, Op: "mount", Ref: dir, Msg: "a " + m.fsType + " mount is there and does not answer", Err: err}
		}
		if dead && m.fsType == fsType {
			log.Warn("detaching what a killed pinfs left", "dir", abs, "source", m.source)
			if err := unmountPoint(ctx, abs, true); err != nil {
				return "", err
			}
			continue
		}
		if m.fsType == fsType || !nonEmpty {
			return "", busyPoint(dir, m)
		}
		break
	}
	return abs, checkDir(dir, abs, nonEmpty)
}

func busyPoint(dir string, m mountInfo) error {
	return &manifest.Error{Kind: manifest.KindBusy, Op: "mount", Ref: dir,
		Msg:  "is a mount point already, of " + m.source + " (" + m.fsType + ")",
		Hint: "unmount it first or take another directory"}
}

// isDead tells whether the daemon of a FUSE mount is gone.
func isDead(ctx context.Context, dir string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { // ends when the mount answers or is aborted
		var st syscall.Statfs_t
		result <- syscall.Statfs(dir, &st) // never answered from the kernel's caches
	}()
	select {
	case err := <-result:
		return errors.Is(err, syscall.ENOTCONN), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// checkDir wants an empty directory.
func checkDir(dir, abs string, nonEmpty bool) error {
	file, err := os.Open(abs)
	if err != nil {
		return pointError(dir, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return pointError(dir, err)
	}
	if !info.IsDir() {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "mount", Ref: dir, Msg: "is no directory"}
	}
	if _, err := file.ReadDir(1); !nonEmpty && err != io.EOF {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "mount", Ref: dir, Msg: "is not empty",
			Hint: "take an empty directory: a mount hides what is in it"}
	}
	return nil
}

func pointError(dir string, err error) error {
	e := &manifest.Error{Kind: manifest.KindOther, Op: "mount", Ref: dir, Err: err}
	switch {
	case errors.Is(err, os.ErrNotExist):
		e.Kind, e.Msg, e.Err, e.Hint = manifest.KindInvalid, "no such directory", nil, "make it: mkdir -p "+dir
	case errors.Is(err, os.ErrPermission):
		e.Kind = manifest.KindDenied
	}
	return e
}
