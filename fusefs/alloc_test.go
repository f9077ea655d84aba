package fusefs_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
)

// perRequest gives the allocations of one of n requests: those of go-fuse and of
// the test are among them. What else goes on in the process disappears in n.
func perRequest(t *testing.T, m *fusefs.Mounted, n int, ask func(i int)) float64 {
	t.Helper()
	ask(0) // what is made once is made now
	var before, after runtime.MemStats
	asked := m.Requests().Total()
	runtime.ReadMemStats(&before)
	for i := range n {
		ask(i + 1)
	}
	runtime.ReadMemStats(&after)
	if got := m.Requests().Total() - asked; got < uint64(n) {
		t.Fatalf("%d requests for %d calls: the test shows nothing", got, n)
	}
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// Handlers allocate nothing, but the context of a read, its object and its answer.
// What go-fuse needs for any request is taken from one that is refused at once.
func TestRequestsDoNotAllocate(t *testing.T) {
	const n = 2000
	m, mem := mountFiles(t, map[string][]byte{"d/f": random(1, 64<<10)})
	dir, err := unix.Open(m.Dir()+"/d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	file, err := unix.Open(m.Dir()+"/d/f", unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(file)
	page, missing := aligned(4096), missingNames(n+1)
	base := perRequest(t, m, n, func(int) {
		if _, err := unix.Fgetxattr(file, "user.none", nil); err != unix.ENODATA {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name string
		more float64
		ask  func(i int)
	}{
		{"getattr", 0.5, func(int) { must(t, refresh(file)) }},
		{"lookup", 0.8, func(i int) {
			var st unix.Stat_t
			if err := unix.Fstatat(dir, missing[i], &st, 0); err != unix.ENOENT {
				t.Fatal(err)
			}
		}},
		{"read", 16, func(i int) {
			if n, err := unix.Pread(file, page, int64(i%16)*4096); n != len(page) {
				t.Fatal(n, err)
			}
		}},
	} {
		reads := mem.reads.Load()
		got := perRequest(t, m, n, c.ask)
		t.Logf("%s: %.2f allocations, %.2f over go-fuse's", c.name, got, got-base)
		if got > base+c.more {
			t.Errorf("%s: %.2f allocations, want at most %.2f", c.name, got, base+c.more)
		}
		if c.name == "read" && mem.reads.Load()-reads < n {
			t.Errorf("%d reads reached Content, want %d", mem.reads.Load()-reads, n)
		}
	}
}

// missingNames gives n names that nobody has looked up.
func missingNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("missing-%d", i)
	}
	return names
}

// refresh makes the kernel ask for the attributes of an open file.
func refresh(fd int) error {
	var st unix.Statx_t
	return unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &st)
}

// aligned gives n bytes that begin at a page.
func aligned(n int) []byte {
	p := make([]byte, n+4096)
	at := 4096 - int(uintptr(unsafe.Pointer(&p[0]))%4096)
	return p[at : at+n]
}

// Requests to more versions than stay open find the right one, whichever is being
// closed at that time, and none stays open after the end.
func TestVersionsAreClosedWhileAsked(t *testing.T) {
	const versions, rounds = 6, 150
	s, mem := newShelf(t), newMemory()
	for i := range versions {
		s.version(t, "p", fmt.Sprintf("a:v%d", i), mem.put(fmt.Sprintf("v%d/f", i), make([]byte, 100+i)))
	}
	m := mount(t, fusefs.Options{Content: mem, Names: s, Project: "p", MaxIdleTrees: 1})
	var wrong atomic.Int64
	var wg sync.WaitGroup
	for g := range 2 * versions {
		wg.Go(func() {
			i := g % versions
			fd, err := unix.Open(fmt.Sprintf("%s/a:v%d/v%d/f", m.Dir(), i, i), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Close(fd)
			for range rounds {
				var st unix.Statx_t
				err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &st)
				if err != nil || st.Size != uint64(100+i) {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d answers were wrong", n)
	}
	if n := s.opens.Load(); n <= versions {
		t.Errorf("%d openings of %d versions: none was closed meanwhile, the test shows nothing", n, versions)
	}
	unmount(t, m)
	select {
	case <-m.Done():
	case <-time.After(time.Minute):
		t.Fatal("still served")
	}
	if n := mapped(t); n > 0 {
		t.Errorf("%d snapshots stay mapped", n)
	}
}
