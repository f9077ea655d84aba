package fdstore

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

const (
	// sendWait is how long the reader of the socket may leave it full.
	sendWait = 10 * time.Second
	// barrierWait is how long it may take to read all that was sent.
	barrierWait = 30 * time.Second
)

// The keys of messages that go-systemd has not.
const (
	KeyStore   = "FDSTORE"
	KeyRemove  = "FDSTOREREMOVE"
	KeyName    = "FDNAME"
	KeyPoll    = "FDPOLL"
	KeyBarrier = "BARRIER"
	KeyStatus  = "STATUS"
	KeyProgram = "X_PINFS_PROGRAM"
)

// MaxName is the longest name of a descriptor.
const MaxName = 255

// Store is the place where descriptors outlive this process. Its methods may be
// called from many goroutines at once; messages arrive in the order of the calls.
// On a nil *Store they do nothing: nobody keeps anything.
type Store struct {
	addr     net.UnixAddr
	watchdog time.Duration // 0: nobody wants a sign of life
	wait     time.Duration // for a full socket

	mu   sync.Mutex // guards conn, and is held while a message is sent
	conn *net.UnixConn
}

// Put has a duplicate of f kept by name until Remove. A name may be kept more than
// once; the same open file, put again, is kept once, by its first name.
func (s *Store) Put(name string, f *os.File) error {
	if s == nil {
		return nil
	}
	if err := CheckName(name); err != nil {
		return err
	}
	// Without FDPOLL=0 systemd closes what hangs up: a /dev/fuse after an abort.
	err := s.send(f, KeyStore+"=1", KeyName+"="+name, KeyPoll+"=0")
	return failed("keep descriptor", name, err)
}

// Remove ends the keeping of all that have this name.
func (s *Store) Remove(name string) error {
	if s == nil {
		return nil
	}
	if err := CheckName(name); err != nil {
		return err
	}
	return failed("drop descriptor", name, s.send(nil, KeyRemove+"=1", KeyName+"="+name))
}

// Ready says that the start is over. status is for people.
func (s *Store) Ready(status string) error {
	if s == nil {
		return nil
	}
	return failed("say ready", "", s.send(nil, daemon.SdNotifyReady, KeyStatus+"="+oneLine(status)))
}

// Stopping says that the end has begun.
func (s *Store) Stopping() error {
	if s == nil {
		return nil
	}
	return failed("say stopping", "", s.send(nil, daemon.SdNotifyStopping))
}

// Program has an owner start the program at path from the next time on. systemd,
// whose unit says what to start, ignores it.
func (s *Store) Program(path string) error {
	if s == nil {
		return nil
	}
	if !filepath.IsAbs(path) || path != oneLine(path) {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "name the next program", Ref: oneLine(path), Msg: "not an absolute path of one line"}
	}
	return failed("name the next program", path, s.send(nil, KeyProgram+"="+path))
}

// Watchdog says that this process is alive whenever alive says so, at half of the
// interval that was asked for, until ctx ends. It returns at once when none was.
func (s *Store) Watchdog(ctx context.Context, alive func() bool) {
	if s == nil || s.watchdog == 0 {
		return
	}
	tick := time.NewTicker(s.watchdog / 2)
	defer tick.Stop()
	for {
		if alive() {
			_ = s.send(nil, daemon.SdNotifyWatchdog) // the next one may get there
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Barrier returns when all that was sent before has been read.
func (s *Store) Barrier(ctx context.Context) error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = s.send(w, KeyBarrier+"=1")
	w.Close()
	if err != nil {
		return failed("wait for what was sent", "", err)
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })()
	_, err = r.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF): // the other end is closed everywhere
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ctx.Err()
	}
	return failed("wait for what was sent", "", err)
}

// failed words an error of send.
func failed(op, ref string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &manifest.Error{Kind: manifest.KindTimeout, Op: op, Ref: ref, Msg: "whoever keeps descriptors does not read", Err: err}
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.ENOENT):
		return &manifest.Error{Op: op, Ref: ref, Msg: "whoever keeps descriptors is gone", Err: err}
	}
	return &manifest.Error{Op: op, Ref: ref, Err: err}
}

// CheckName refuses what systemd would: the names of descriptors are joined by ":"
// in one variable.
func CheckName(name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == ':' })
	if bad || name == "" || len(name) > MaxName {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "name a descriptor", Ref: oneLine(name),
			Msg: "a name has 1 to 255 printable ASCII characters and no ':'"}
	}
	return nil
}

// oneLine keeps text from being more than one line of a message.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}
