package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// lockWait is how long a writer waits for others. They hold the lock for one
// rename, so past it somebody is stopped while holding it.
const lockWait = 30 * time.Second

// lock takes the store's lock for this process and goroutine. It polls, because a
// blocking flock heeds no context.
func (d *DirStore) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, errLocked)
	defer cancel()
	select {
	case <-d.turn:
	case <-ctx.Done():
		return nil, d.lockError(ctx)
	}
	f, err := d.flock(ctx)
	if err != nil {
		d.turn <- struct{}{}
		return nil, err
	}
	return func() { f.Close(); d.turn <- struct{}{} }, nil
}

var errLocked = errors.New("another process holds the lock")

func (d *DirStore) flock(ctx context.Context) (*os.File, error) {
	f, err := d.openLock()
	if err != nil {
		return nil, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if err = tryLock(f); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			f.Close()
			return nil, d.lockError(ctx)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openLock opens the lock file for writing: NFS wants that for an exclusive lock.
func (d *DirStore) openLock() (*os.File, error) {
	path := filepath.Join(d.dir, lockName)
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, recordMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(d.dir); err == nil {
			f, err = os.OpenFile(path, flags, recordMode)
		}
	}
	return f, err
}

func (d *DirStore) lockError(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errLocked) {
		return cause
	}
	return &manifest.Error{
		Kind: manifest.KindBusy, Op: "lock the registry", Ref: filepath.Join(d.dir, lockName),
		Err: errLocked, Hint: "see who has it open (fuser)",
	}
}

// tryLock takes a flock without waiting; unix.EWOULDBLOCK when another has it.
func tryLock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func randomName() string { return "t" + rand.Text() }
