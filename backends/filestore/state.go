package filestore

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// state is what tells that a file was changed or replaced.
type state struct {
	size     int64
	modTime  time.Time
	dev, ino uint64
	links    uint64 // fewer: the name leads to another file now, or nowhere
}

func (s state) String() string {
	text := fmt.Sprintf("%d bytes of %s (inode %d)", s.size, s.modTime.UTC().Format(time.RFC3339Nano), s.ino)
	if s.links == 0 {
		text += ", removed"
	}
	return text
}

// same tells whether the content is the same, as far as can be seen.
func (s state) same(o state) bool {
	return s.size == o.size && s.modTime.Equal(o.modTime) && s.dev == o.dev && s.ino == o.ino
}

// stateOf gives the state of an open file; an irregular for one that is none.
func stateOf(fd int) (state, error) {
	var st syscall.Stat_t
	if _, err := again(func() (int, error) { return 0, syscall.Fstat(fd, &st) }); err != nil {
		return state{}, os.NewSyscallError("fstat", err)
	}
	if mode := fileType(st.Mode); mode != 0 {
		return state{}, &irregular{mode}
	}
	return stateFrom(&st), nil
}

func stateFrom(st *syscall.Stat_t) state {
	return state{
		size: st.Size, modTime: time.Unix(st.Mtim.Unix()),
		dev: st.Dev, ino: st.Ino, links: uint64(st.Nlink), //nolint:unconvert // 32 bits on other machines
	}
}

// fileType is the type of what is no regular file; 0 for one.
func fileType(mode uint32) fs.FileMode {
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return 0
	case syscall.S_IFDIR:
		return fs.ModeDir
	case syscall.S_IFIFO:
		return fs.ModeNamedPipe
	case syscall.S_IFSOCK:
		return fs.ModeSocket
	}
	return fs.ModeDevice
}
