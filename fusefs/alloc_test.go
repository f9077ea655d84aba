package fusefs_test

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
)

const (
	askRounds = 4
	askCalls  = 1000
)

// perRequest gives the allocations of one request, in the best of some rounds: go-fuse
// needs more when it finds its pools empty. Those of go-fuse and of the test are
// among them. ask is called with another number each time.
func perRequest(t *testing.T, m *fusefs.Mounted, ask func(i int)) float64 {
	t.Helper()
	least := math.Inf(1)
	for round := range askRounds {
		var before, after runtime.MemStats
		asked := m.Requests().Total()
		runtime.ReadMemStats(&before)
		for i := range askCalls {
			ask(round*askCalls + i)
		}
		runtime.ReadMemStats(&after)
		if got := m.Requests().Total() - asked; got < askCalls {
			t.Fatalf("%d requests for %d calls: the test shows nothing", got, askCalls)
		}
		least = min(least, float64(after.Mallocs-before.Mallocs)/askCalls)
	}
	return least
}

// Handlers allocate nothing, but the context of a read, its object and its answer.
// What go-fuse needs for any request is taken from one that is refused at once.
func TestRequestsDoNotAllocate(t *testing.T) {
	files, names := map[string][]byte{"d/f": random(1, 64<<10)}, make([]string, askRounds*askCalls)
	for i := range names {
		names[i] = fmt.Sprintf("looked-up-%d", i)
		files["d/"+names[i]] = nil
	}
	m, mem := mountFiles(t, files)
	dir, err := unix.Open(m.Dir()+"/d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	file, err := unix.Open(m.Dir()+"/d/f", unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(file)
	page := aligned(4096)
	base := perRequest(t, m, func(int) {
		if _, err := unix.Fgetxattr(file, "user.none", nil); err != unix.ENODATA {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name string
		more float64 // getattr is without the name that the refused one has
		ask  func(i int)
	}{
		{"getattr", -0.3, func(int) { must(t, refresh(file)) }},
		{"lookup", 0.5, func(i int) {
			var st unix.Stat_t
			must(t, unix.Fstatat(dir, names[i], &st, 0))
		}},
		{"read", 3.5, func(i int) {
			if n, err := unix.Pread(file, page, int64(i%16)*4096); n != len(page) {
				t.Fatal(n, err)
			}
		}},
	} {
		reads := mem.reads.Load()
		got := perRequest(t, m, c.ask)
		t.Logf("%s: %.2f allocations, %.2f over go-fuse's", c.name, got, got-base)
		if most := base + c.more + poolsLose; got > most {
			t.Errorf("%s: %.2f allocations, want at most %.2f", c.name, got, most)
		}
		if c.name == "read" && mem.reads.Load()-reads < askCalls {
			t.Errorf("%d reads reached Content, want %d", mem.reads.Load()-reads, askCalls)
		}
	}
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
