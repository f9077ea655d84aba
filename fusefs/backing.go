package fusefs

import (
	"container/list"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// backings are the files that the kernel has been given to read, one for each
// object, by the number under which it knows them. Those that nothing has open
// stay for a while, so that open and close in a loop do not register each time.
// The kernel holds the files: no descriptor of ours is open, but a file that was
// removed takes its room on the disk until its number is given back.
type backings struct {
	kernel kernelFiles
	lender Lender
	log    *slog.Logger

	closing sync.WaitGroup

	table  *openTable // mu guards its ids
	mu     sync.Mutex // guards all below and backing.users, dead and place; a leaf
	files  map[objectKey]*backing
	idle   list.List // of *backing without users, least recently used first
	broken bool      // the kernel takes no files
	ended  bool
}

// kernelFiles is the part of fuse.Server that numbers files.
type kernelFiles interface {
	RegisterBackingFd(m *fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(id int32) syscall.Errno
}

var _ kernelFiles = (*fuse.Server)(nil)

// backing is the file of one object. Its mu is held while it changes between
// being used and not, which asks the lender and the kernel, and covers the rest.
type backing struct {
	key   objectKey
	users int
	dead  bool // revoked
	place *list.Element

	mu      sync.Mutex
	id      int32 // 0: not registered
	loan    Loan  // nil: not registered, or the lender does not know it any more
	resting bool  // the loan is not in use
}

// Bounds of backings: 1,024 files at once, 256 of them with nothing open.
const (
	maxBackings     = 1024
	maxIdleBackings = 256
)

func newBackings(kernel kernelFiles, lender Lender, log *slog.Logger) *backings {
	return &backings{kernel: kernel, lender: lender, log: log, files: map[objectKey]*backing{}}
}

// probe tells why the kernel would not take files of lender; "" when it does.
func probe(kernel kernelFiles, lender Lender) string {
	f, err := lender.Probe()
	if err != nil {
		return "the cache has no file to try: " + err.Error()
	}
	defer f.Close()
	id, errno := kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.Fd())})
	switch errno {
	case 0:
		kernel.UnregisterBackingFd(id)
		return ""
	case syscall.EPERM:
		return "it needs CAP_SYS_ADMIN of the host"
	case syscall.ELOOP:
		return "the cache is on a file system that is stacked on others (overlayfs): give it a volume"
	}
	return "the kernel refuses the cache's files: " + errno.Error()
}

// take gives the file of obj for one more open node; nil when its opens are to be
// ordinary ones.
func (s *backings) take(obj manifest.Object) *backing {
	b := s.enter(obj.Key())
	if b == nil {
		return nil
	}
	b.mu.Lock()
	ok := s.ensure(b, obj)
	b.mu.Unlock()
	if !ok {
		s.leave(b)
		return nil
	}
	return b
}

// enter finds or makes the entry of key and counts a user.
func (s *backings) enter(key objectKey) *backing {
	s.mu.Lock()
	b, ok := s.files[key]
	var victim *backing
	switch {
	case s.broken || s.ended || ok && b.dead:
		b = nil
	case ok:
		b.users++
		if b.place != nil {
			s.idle.Remove(b.place)
			b.place = nil
		}
	default:
		if len(s.files) >= maxBackings {
			if victim = s.oldest(); victim == nil {
				break
			}
		}
		b = &backing{key: key, users: 1}
		s.files[key] = b
	}
	s.mu.Unlock()
	s.close(victim)
	return b
}

// ensure makes b ready for use: taken again, or lent and registered. b.mu is held.
func (s *backings) ensure(b *backing, obj manifest.Object) bool {
	switch {
	case b.id == 0:
		return s.borrow(b, obj)
	case b.loan == nil:
		return true // adopted: who has it open, has it
	case b.resting:
		b.resting = !b.loan.Take() // false: revoked, and leave gives it back
	}
	return !b.resting
}

func (s *backings) borrow(b *backing, obj manifest.Object) bool {
	loan, file := s.lender.Lend(obj, func() { s.revoked(b) })
	if loan == nil {
		return false
	}
	id, ok := s.register(file)
	if !ok {
		loan.Close()
		return false
	}
	b.id, b.loan = id, loan
	return true
}

func (s *backings) register(f *os.File) (int32, bool) {
	defer f.Close()
	id, errno := s.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.Fd())})
	s.mu.Lock()
	defer s.mu.Unlock()
	if errno == 0 {
		s.table.given(id)
		return id, true
	}
	if !s.broken {
		s.broken = true // it was tried when the mount was made: this is not about one file
		s.log.Warn("the kernel takes no more files for passthrough; files are opened the ordinary way", "error", errno.Error())
	}
	return 0, false
}

// leave ends a use that take began. The last one leaves the file registered.
func (s *backings) leave(b *backing) {
	b.mu.Lock()
	s.mu.Lock()
	b.users--
	last := b.users == 0
	gone := last && (b.dead || b.loan == nil || s.ended)
	var victim *backing
	switch {
	case gone:
		s.forget(b)
	case last:
		b.place = s.idle.PushBack(b)
		if s.idle.Len() > maxIdleBackings {
			victim = s.oldest()
		}
	}
	s.mu.Unlock()
	if last && !gone && !b.resting {
		b.loan.Rest()
		b.resting = true
	}
	b.mu.Unlock()
	if gone {
		s.close(b)
	}
	s.close(victim)
}

// oldest takes out the file that has been idle for longest, for close; nil when all
// are in use. mu is held.
func (s *backings) oldest() *backing {
	e := s.idle.Front()
	if e == nil {
		return nil
	}
	b := e.Value.(*backing)
	s.forget(b)
	return b
}

// forget takes b out; mu is held.
func (s *backings) forget(b *backing) {
	if b.place != nil {
		s.idle.Remove(b.place)
		b.place = nil
	}
	if s.files[b.key] == b {
		delete(s.files, b.key)
	}
}

// close gives b's number and its loan back; what has it open keeps the file.
func (s *backings) close(b *backing) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id != 0 {
		s.unregister(b.id)
		b.id = 0
	}
	if b.loan != nil {
		b.loan.Close()
		b.loan = nil
	}
}

func (s *backings) unregister(id int32) {
	s.kernel.UnregisterBackingFd(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.back(id)
}

// revoked is told by the lender that b's file is not the object's any more.
func (s *backings) revoked(b *backing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.dead = true
	if b.place != nil && !s.ended {
		s.forget(b)
		s.closing.Go(func() { s.close(b) })
	}
}

// end gives all back. The mount has ended: no file of it is open.
func (s *backings) end() {
	s.mu.Lock()
	s.ended = true
	all := slices.Collect(maps.Values(s.files))
	clear(s.files)
	s.idle.Init()
	s.mu.Unlock()
	for _, b := range all {
		s.close(b)
	}
	s.closing.Wait()
}
