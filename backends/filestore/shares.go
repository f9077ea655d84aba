package filestore

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mountTable = "/proc/self/mountinfo"
	tableAge   = 5 * time.Second // how old what is known of mountTable may be
	maxDirs    = 1 << 14         // directories that are remembered
	maxLinks   = 40              // as the kernel's
)

// shares knows which share a path lies on, without asking a share for it that may
// hang: the mount table tells where each begins, and only links need be read,
// those of the shares above.
type shares struct {
	options Options
	enter   func(op, path string) error // see Store.before
	table   func() ([]byte, error)      // mountTable's content

	mu     sync.Mutex
	last   []byte            // guarded by mu: table when read
	read   time.Time         // guarded by mu
	points map[string]bool   // guarded by mu: mount points of last
	dirs   map[string]*share // guarded by mu: of directories with all links followed
	all    map[string]*share // guarded by mu: by mount point
}

// of gives the share of the files in a directory, given as an absolute clean path.
// Errors are typed.
func (s *shares) of(ctx context.Context, op, ref, dir string) (*share, error) {
	return s.follow(ctx, op, ref, dir, 0)
}

func (s *shares) follow(ctx context.Context, op, ref, dir string, links int) (*share, error) {
	sh, known := s.known(dir)
	if known {
		return sh, nil
	}
	above, err := s.follow(ctx, op, ref, filepath.Dir(dir), links)
	if err != nil {
		return nil, err
	}
	target, err := call(ctx, above, op, ref, func() (string, error) { return s.target(dir) }, nil)
	if err != nil {
		return nil, failed(op, ref, err)
	}
	sh = above
	if target != "" && links < maxLinks {
		if sh, err = s.follow(ctx, op, ref, target, links+1); err != nil {
			return nil, err
		}
	}
	s.remember(dir, sh)
	return sh, nil
}

// target gives where a link leads; "" for what is none, or can't be looked at,
// which the call itself will find out.
func (s *shares) target(dir string) (string, error) {
	if err := s.enter("lstat", dir); err != nil {
		return "", nil
	}
	fi, err := os.Lstat(dir)
	if err != nil || fi.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	target, err := os.Readlink(dir)
	if err != nil {
		return "", nil
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(dir), target)
	}
	return filepath.Clean(target), nil
}

// known gives the share of a directory that is a mount point, the root, or was
// asked for before.
func (s *shares) known(dir string) (*share, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	if sh, ok := s.dirs[dir]; ok {
		return sh, true
	}
	if !s.points[dir] && dir != "/" {
		return nil, false
	}
	sh, ok := s.all[dir]
	if !ok {
		sh = &share{mount: dir, timeout: s.options.ShareTimeout, max: s.options.MaxStuck, slots: make(chan struct{}, s.options.MaxCalls)}
		s.all[dir] = sh
	}
	s.dirs[dir] = sh
	return sh, true
}

func (s *shares) remember(dir string, sh *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirs) >= maxDirs {
		clear(s.dirs)
	}
	s.dirs[dir] = sh
}

// refresh reads the mount table again when it is old, which asks no share. What
// hangs is remembered beyond that: s.all stays. s.mu is held.
func (s *shares) refresh() {
	if time.Since(s.read) < tableAge && s.dirs != nil {
		return
	}
	table, err := s.table()
	s.read = time.Now()
	if s.dirs != nil && (err != nil || bytes.Equal(table, s.last)) {
		return
	}
	if s.all == nil {
		s.all = map[string]*share{}
	}
	s.last, s.points, s.dirs = table, mountPoints(table), map[string]*share{}
}

// mountPoints gives the fifth fields, see proc_pid_mountinfo(5).
func mountPoints(table []byte) map[string]bool {
	points := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points[unescape(fields[4])] = true
		}
	}
	return points
}

// unescape undoes the octal codes of space, tab, newline and backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
