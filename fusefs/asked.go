package fusefs

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// asked notes the numbers of requests that are under way, on kernels before 6.9. Those do
// not send again what a dead process had read, and whoever asked would wait for ever:
// the next process answers these requests with EIO. An answer to a request that has one
// does no harm, so a number stays for a while after its end, and those around the last
// ones, which may have been read and not been noted, are answered as well.
type asked struct {
	mem *askedMemory

	mu   sync.Mutex
	free []uint16 // places, first in, first out
}

// askedMemory is its part of the shared memory.
type askedMemory struct {
	last  uint64 // the highest number that was noted
	under [askedPlaces]uint64
}

const (
	askedPlaces = 1 << 12
	// askedAround is how far from the last number a request may be that was read and
	// not noted: that of each reading thread.
	askedAround = 1 << 10
	// uniqueStep is between the numbers of two requests (FUSE_REQ_ID_STEP).
	uniqueStep = 2
)

func newAsked(mem *askedMemory) *asked {
	a := &asked{mem: mem, free: make([]uint16, 0, askedPlaces)}
	for place := range askedPlaces {
		a.free = append(a.free, uint16(place))
	}
	return a
}

// begin notes a request; end is called with what it gives.
func (a *asked) begin(unique uint64) (place uint16, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mem.last = max(a.mem.last, unique)
	if len(a.free) == 0 {
		return 0, false // of so many the last ones are answered all the same
	}
	place = a.free[0]
	a.free = a.free[1:]
	atomic.StoreUint64(&a.mem.under[place], unique)
	return place, true
}

// end frees the place of a request; its number stays until many others have come, since
// the answer is written after this.
func (a *asked) end(place uint16, ok bool) {
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, place)
}

// refuse answers what a process before left unanswered on the connection fd.
func (m *askedMemory) refuse(fd int) (refused int) {
	refuse := func(unique uint64) {
		if unique != 0 && answerError(fd, unique, syscall.EIO) == nil {
			refused++
		}
	}
	for _, unique := range m.under {
		refuse(unique)
	}
	if m.last == 0 {
		return refused
	}
	const around = askedAround * uniqueStep
	for unique := m.last - min(m.last, around); unique <= m.last+around; unique += uniqueStep {
		refuse(unique)
	}
	return refused
}

// kernelResends tells whether the kernel sends again what a dead process had read.
func kernelResends() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 9
}

// answerError writes an answer (struct fuse_out_header). ENOENT: there is no such request,
// or it has its answer.
func answerError(fd int, unique uint64, errno syscall.Errno) error {
	msg := make([]byte, 16)
	binary.NativeEndian.PutUint32(msg, uint32(len(msg)))
	binary.NativeEndian.PutUint32(msg[4:], uint32(-int32(errno)))
	binary.NativeEndian.PutUint64(msg[8:], unique)
	_, err := unix.Write(fd, msg)
	return err
}

// noting is a file system whose requests are noted. What it does not list is answered
// at once: it is among the last ones.
type noting struct {
	*fileSystem
	asked *asked
}

var _ fuse.RawFileSystem = noting{}

// Lookup is noted.
func (n noting) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	defer n.asked.end(n.asked.begin(h.Unique))
	return n.fileSystem.Lookup(cancel, h, name, out)
}

// GetAttr is noted.
func (n noting) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	defer n.asked.end(n.asked.begin(in.Unique))
	return n.fileSystem.GetAttr(cancel, in, out)
}

// ReadDir is noted.
func (n noting) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	defer n.asked.end(n.asked.begin(in.Unique))
	return n.fileSystem.ReadDir(cancel, in, out)
}

// ReadDirPlus is noted.
func (n noting) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	defer n.asked.end(n.asked.begin(in.Unique))
	return n.fileSystem.ReadDirPlus(cancel, in, out)
}

// Open is noted.
func (n noting) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	defer n.asked.end(n.asked.begin(in.Unique))
	return n.fileSystem.Open(cancel, in, out)
}

// Read is noted.
func (n noting) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	defer n.asked.end(n.asked.begin(in.Unique))
	return n.fileSystem.Read(cancel, in, buf)
}

// StatFs is noted.
func (n noting) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	defer n.asked.end(n.asked.begin(h.Unique))
	return n.fileSystem.StatFs(cancel, h, out)
}

// GetXAttr is noted.
func (n noting) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	defer n.asked.end(n.asked.begin(h.Unique))
	return n.fileSystem.GetXAttr(cancel, h, name, dest)
}
