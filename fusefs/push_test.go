package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// lastRead is a Follower that keeps the last read, and holds all of them until it is
// released.
type lastRead struct {
	mu    sync.Mutex
	last  fusefs.FirstRead
	holds []func()
}

func (h *lastRead) Follow(r fusefs.FirstRead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = r
	h.holds = append(h.holds, r.Hold())
}

func (h *lastRead) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, release := range h.holds {
		release()
	}
	h.holds = nil
}

func (h *lastRead) FollowDir(fusefs.FirstListing) {}

func (h *lastRead) read() fusefs.FirstRead {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// TestPush: a file that was pushed is read without a request, one that the kernel
// does not know can't be.
func TestPush(t *testing.T) {
	h, c := &lastRead{}, newMemory()
	tree := build(t, exact, "", c.put("d/a", random(1, 100)), c.put("d/b", random(2, 10_000)), c.put("d/c", random(3, 4096)))
	m := mount(t, fusefs.Options{Content: c, Tree: tree, Follower: h})
	dir := m.Dir() + "/d/"
	_, err := os.ReadFile(dir + "a")
	must(t, err)
	r := h.read()
	if !r.Looked {
		t.Error("that a was looked up is not known")
	}
	if err := m.Push(r.Slot, r.Index+1, func() []byte { return c.data["mem://b/d/b"] }); !errors.Is(err, fusefs.ErrUnknown) {
		t.Errorf("push of a file that nobody looked up: %v", err)
	}
	_, err = os.Stat(dir + "b")
	must(t, err)
	must(t, m.Push(r.Slot, r.Index+1, func() []byte { return c.data["mem://b/d/b"] }))
	if m.Push(r.Slot, r.Index+2, func() []byte { return nil }) == nil {
		t.Error("nothing was pushed")
	}
	asked := m.Requests()
	got, err := os.ReadFile(dir + "b")
	must(t, err)
	if !bytes.Equal(got, c.data["mem://b/d/b"]) {
		t.Error("other bytes")
	}
	if n := m.Requests().Read - asked.Read; n != 0 {
		t.Errorf("%d requests to read what was pushed", n)
	}
	if n := m.Requests().Pushed; n != 2 {
		t.Errorf("%d pushes, want 2", n)
	}
}

// TestPlace: what is listed from the place of a file on is known to the kernel, and
// neither what is before nor what is behind it.
func TestPlace(t *testing.T) {
	const files = 300
	h, c := &lastRead{}, newMemory()
	var entries []manifest.Entry
	for i := range files {
		entries = append(entries, c.put(fmt.Sprintf("p/ä \xff%%/f%03d", i), []byte{byte(i)}))
	}
	tree := build(t, exact, "", entries...)
	m := mount(t, fusefs.Options{Content: c, Tree: tree, Follower: h})
	dir := filepath.Join(m.Dir(), "p/ä \xff%")
	_, err := os.ReadFile(dir + "/f000")
	must(t, err)
	r := h.read()
	p, err := m.Place(tree, r.Slot, r.Index+250)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Stat(dir, &st))
	if m.Device() != st.Dev {
		t.Errorf("device %d, want %d", m.Device(), st.Dev)
	}
	if p.Dir != dir || p.Names != 50 {
		t.Fatalf("place of f250: %+v", p)
	}
	listFrom(t, p)
	looked := func(from, to int) uint64 {
		before := m.Requests().Lookup
		for i := from; i < to; i++ {
			_, err := os.Stat(fmt.Sprintf("%s/f%03d", dir, i))
			must(t, err)
		}
		return m.Requests().Lookup - before
	}
	if n := looked(250, files); n != 0 {
		t.Errorf("%d of 50 names that were listed had to be looked up", n)
	}
	if n := looked(1, 250); n != 249 {
		t.Errorf("%d of 249 names were looked up that were not listed", n)
	}
}

// listFrom reads a directory from an offset to its end.
func listFrom(t *testing.T, p fusefs.Place) {
	t.Helper()
	fd, err := unix.Open(p.Dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	_, err = unix.Seek(fd, p.From, io.SeekStart)
	must(t, err)
	for buf := make([]byte, 32<<10); ; {
		n, err := unix.Getdents(fd, buf)
		must(t, err)
		if n == 0 {
			return
		}
	}
}

// TestPlaceBelowNames: the path leads through the names of versions and projects.
func TestPlaceBelowNames(t *testing.T) {
	for project, above := range map[string]string{"": "vision/mnist:v0", "vision": "mnist:v0"} {
		h, c, s := &lastRead{}, newMemory(), newShelf(t)
		s.version(t, "vision", "mnist:v0", c.put("d/a", []byte("a")), c.put("d/b", []byte("b")))
		m := mount(t, fusefs.Options{Content: c, Names: s, Project: project, Follower: h})
		dir := filepath.Join(m.Dir(), above, "d")
		_, err := os.ReadFile(dir + "/a")
		must(t, err)
		r := h.read()
		p, err := m.Place(r.Tree, r.Slot, r.Index+1)
		must(t, err)
		if p.Dir != dir || p.Names != 1 {
			t.Errorf("place in a mount of %q: %+v", project, p)
		}
		h.release()
	}
}

// TestDistrustWaitsForPushes: the kernel forgets what was on its way when its source
// was found to be wrong.
func TestDistrustWaitsForPushes(t *testing.T) {
	h, c := &lastRead{}, newMemory()
	tree := build(t, exact, "", c.put("a", random(1, 100)), c.put("b", random(2, 100)))
	m := mount(t, fusefs.Options{Content: c, Tree: tree, Follower: h})
	_, err := os.ReadFile(m.Dir() + "/a")
	must(t, err)
	_, err = os.Stat(m.Dir() + "/b")
	must(t, err)
	r := h.read()
	b, err := tree.Snapshot.Object(r.Index + 1)
	must(t, err)
	wrong := &manifest.Error{Kind: manifest.KindCorrupt, Op: "read", Ref: b.Ref}
	taken, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		<-taken
		c.fail(b.Ref, wrong)
		m.Distrust(t.Context(), map[manifest.Object]error{b: wrong})
	}()
	must(t, m.Push(r.Slot, r.Index+1, func() []byte {
		close(taken)
		select {
		case <-done:
			t.Error("the kernel was made to forget what it did not have yet")
		case <-time.After(100 * time.Millisecond):
		}
		return random(2, 100)
	}))
	<-done
	if _, err := os.ReadFile(m.Dir() + "/b"); !errors.Is(err, syscall.EIO) {
		t.Errorf("read of what is wrong: %v", err)
	}
}
