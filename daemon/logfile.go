package daemon

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// maxLog is the size, in bytes, at which a log file is put aside as ".1". So a
// log takes at most twice that.
const maxLog = 8 << 20

// logPath is where the daemon of a cache directory logs.
func logPath(dir string) string { return filepath.Join(dir, "daemon.log") }

// LogFile is the log of a daemon in the background. It is the standard error of
// the process too, so that the trace of a crash gets into it.
type LogFile struct {
	path string
	max  int64

	mu   sync.Mutex // guards all below
	file *os.File
	size int64
}

// OpenLog opens the log of the cache directory dir and makes it this process's
// standard output and error.
func OpenLog(dir string) (*LogFile, error) {
	l := &LogFile{path: logPath(dir), max: maxLog}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, l.takeOutput()
}

// openLog opens a log for appending, aside what is too long already.
func openLog(path string, max int64) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() >= max {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (l *LogFile) open() (err error) {
	l.file, l.size, err = openLog(l.path, l.max)
	return err
}

// takeOutput makes the file descriptors 1 and 2.
func (l *LogFile) takeOutput() error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(l.file.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// Write appends p. A log that can't be turned over is written on: what it says
// matters more than its length.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > l.max {
		l.turn()
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// turn puts the file aside and starts a new one. mu is held.
func (l *LogFile) turn() {
	old := l.file
	if os.Rename(l.path, l.path+".1") != nil {
		return
	}
	if l.open() != nil {
		l.file = old
		return
	}
	_ = l.takeOutput()
	old.Close()
}

// Close closes the file; standard error stays.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
