package filestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends"
)

// errOurs: who serves a mount and reads a file of it for that may wait for himself,
// or for another who waits for him.
var errOurs = backends.Refuse("it lies on a mount of pinfs, which reads nothing through mounts of its own: name what is mounted there instead")

// openRuled opens the file that path leads to if the rules allow that place. It looks
// first, through a descriptor that opens nothing: to open a device may do something.
// What that descriptor is of is what is opened then, whoever moves links meanwhile.
func (s *Store) openRuled(path string, flags int) (int, error) {
	at, err := openPath(path, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(at) //nolint:errcheck // nothing is open
	here := "/proc/self/fd/" + strconv.Itoa(at)
	real, err := os.Readlink(here)
	if err != nil {
		return -1, &untold{err}
	}
	if err := s.rules.RealPath(real); err != nil {
		return -1, err
	}
	st, err := stateOf(at)
	if err == nil {
		err = s.notOurs(st.dev)
	}
	if err != nil {
		return -1, err
	}
	return openPath(here, flags)
}

// outside is errOurs for a path that leads to a mount of pinfs, which to look at may
// mean to wait already: only links on the way there are read.
func (s *Store) outside(ctx context.Context, op, ref, path string) error {
	if s.rules == nil {
		return nil
	}
	for range maxLinks {
		dir := filepath.Dir(filepath.Clean(path))
		if err := s.notIn(func(point string) bool { return dir == point || strings.HasPrefix(dir, point+"/") }); err != nil {
			return err
		}
		sh, err := s.shares.of(ctx, op, ref, dir)
		if err == nil {
			err = s.notIn(func(point string) bool { return sh.mount == point })
		}
		if err != nil {
			return err
		}
		target, err := call(ctx, sh, op, ref, func() (string, error) { return s.shares.target(filepath.Clean(path)) }, nil)
		if err != nil || target == "" {
			return err
		}
		path = target
	}
	return nil
}

// notIn is errOurs if the mount point of one is picked.
func (s *Store) notIn(pick func(point string) bool) error {
	ours, err := s.ours(func(fields []string) bool { return pick(unescape(fields[4])) })
	if err == nil && ours {
		err = errOurs
	}
	return err
}

// notOurs is errOurs for a device that is a mount of pinfs. Only file systems without
// a device of their own can be one. The table is read each time: the mount may be new.
func (s *Store) notOurs(dev uint64) error {
	if s.rules == nil || unix.Major(dev) != 0 {
		return nil
	}
	number := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	ours, err := s.ours(func(fields []string) bool { return fields[2] == number })
	if err == nil && ours {
		err = errOurs
	}
	return err
}

// ours tells whether one of the mounts that match picks is of pinfs, by the fields of
// its line, see proc_pid_mountinfo(5).
func (s *Store) ours(match func(fields []string) bool) (bool, error) {
	table, err := s.shares.table()
	if err != nil {
		return false, &untold{err}
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash > 4 && dash+1 < len(fields) && fields[dash+1] == "fuse.pinfs" && match(fields) {
			return true, nil
		}
	}
	return false, nil
}
