package owner

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxKept = 4096
	// maxNames bounds the names together: one variable may have 128 KiB.
	maxNames = 128<<10 - 64
)

var (
	errFull    = errors.New("as many descriptors as may be kept")
	errSame    = errors.New("kept already")
	errNoNames = errors.New("the names are too long together")
)

// descriptor is one that is kept.
type descriptor struct {
	name string
	fd   int
	file inode
}

// inode is what descriptors of one open file have in common, and some others too.
type inode struct{ dev, ino uint64 }

// kept are the descriptors that outlive workers, in the order in which they came.
type kept struct {
	all  []descriptor
	size int // of the names and what joins them
}

// add keeps fd, which is its own from then on, unless there is an error.
func (k *kept) add(name string, fd int) error {
	switch {
	case len(k.all) >= maxKept:
		return errFull
	case k.size+len(name)+1 > maxNames:
		return errNoNames
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	file := inode{uint64(st.Dev), st.Ino}
	for _, d := range k.all {
		if d.file == file && sameFile(d.fd, fd) {
			return errSame
		}
	}
	k.all = append(k.all, descriptor{name, fd, file})
	k.size += len(name) + 1
	return nil
}

// remove closes all that have this name.
func (k *kept) remove(name string) {
	left := k.all[:0]
	for _, d := range k.all {
		if d.name != name {
			left = append(left, d)
			continue
		}
		unix.Close(d.fd)
		k.size -= len(name) + 1
	}
	k.all = left
}

// close closes all.
func (k *kept) close() {
	for _, d := range k.all {
		unix.Close(d.fd)
	}
	k.all, k.size = nil, 0
}

// names gives the names as a worker wants them.
func (k *kept) names() string {
	all := make([]string, 0, len(k.all))
	for _, d := range k.all {
		all = append(all, d.name)
	}
	return strings.Join(all, ":")
}

// sameFile says whether two descriptors are of one open file. Where the kernel doesn't
// tell, they are two.
func sameFile(a, b int) bool {
	const kcmpFile = 0
	pid := uintptr(os.Getpid())
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	return errno == 0 && r == 0
}
