package daemon_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
)

// fakeKernel is what the kernel knows of one version: names, and contents. Files
// are nodes.
type fakeKernel struct {
	tree *fusefs.Tree

	mu            sync.Mutex // guards all below
	known, pages  map[uint32]bool
	wasted        int // files that were pushed though they were there
	furthest      uint32
	lookups, asks int
}

func (k *fakeKernel) Device() uint64 { return 7 }

func (k *fakeKernel) Push(_, index uint32, content func() []byte) error {
	content()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known[index] {
		return fusefs.ErrUnknown
	}
	if k.pages[index] {
		k.wasted++
	}
	k.pages[index] = true
	k.furthest = max(k.furthest, index)
	return nil
}

func (k *fakeKernel) Place(t *fusefs.Tree, _, index uint32) (fusefs.Place, error) {
	n, err := t.Snapshot.Stat(index)
	if err != nil {
		return fusefs.Place{}, err
	}
	dir, err := t.Snapshot.Stat(n.Parent)
	below, _ := t.Snapshot.Path(n.Parent)
	return fusefs.Place{Dir: path.Join("/m", below), From: int64(index), Names: int(dir.First + dir.Count - index)}, err
}

func (k *fakeKernel) List(_ context.Context, all []lister.Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range all {
		if r.Device != 7 {
			return fmt.Errorf("device %d", r.Device)
		}
		for i := range r.Names {
			k.known[uint32(r.From)+uint32(i)] = true
		}
	}
	return nil
}

// pushCourse is a course whose reader asks only for what the kernel has not.
type pushCourse struct {
	*course
	k       *fakeKernel
	settled func()
}

func newPushCourse(c *course) *pushCourse {
	p := &pushCourse{course: c, k: &fakeKernel{tree: c.tree, known: map[uint32]bool{}, pages: map[uint32]bool{}}}
	c.here = true
	c.f, p.settled = daemon.NewPusher(c.prefetch, func(manifest.Object, []byte) bool { return true }, p.k)
	return p
}

// read reads file i as the kernel does.
func (p *pushCourse) read(i int) {
	node, k := p.nodes[i], p.k
	k.mu.Lock()
	looked, asks := !k.known[node], !k.pages[node]
	k.known[node], k.pages[node] = true, true
	if looked {
		k.lookups++
	}
	if asks {
		k.asks++
	}
	k.mu.Unlock()
	if asks {
		p.f.Follow(fusefs.FirstRead{At: fusefs.At{Tree: p.tree, Index: node}, Begins: true, Ends: true, Looked: looked})
		p.settled() // this reader is slower than the cache
	}
}

// TestPushAheadOfAReader: a reader in order of what is in the cache hardly asks for
// names or contents, whatever the directories are like, and nothing is pushed twice
// or far ahead of it.
func TestPushAheadOfAReader(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dirs, per := rapid.IntRange(1, 20).Draw(rt, "dirs"), rapid.IntRange(20, 400).Draw(rt, "per")
		p := newPushCourse(newCourse(t, dirs, per, rapid.Int64Range(1, 64<<10).Draw(rt, "size")))
		if rapid.Bool().Draw(rt, "listed") { // by the reader itself
			for _, node := range p.nodes {
				p.k.known[node] = true
			}
		}
		files := dirs * per
		for i := range files {
			p.read(i)
			if far := int(p.k.furthest) - int(p.nodes[i]); far > 128+per {
				rt.Fatalf("file %d was read, and %d ahead of it pushed", i, far)
			}
		}
		few := 16 + files/24 + dirs/2
		if p.k.asks > few || p.k.lookups > few {
			rt.Fatalf("%d files: %d lookups, %d reads, want %d at most", files, p.k.lookups, p.k.asks, few)
		}
		if p.k.wasted > 0 {
			rt.Fatalf("%d files were pushed again", p.k.wasted)
		}
	})
}

// TestNothingIsPushedOutOfOrder: to a reader in no order.
func TestNothingIsPushedOutOfOrder(t *testing.T) {
	p := newPushCourse(newCourse(t, 10, 200, 8192))
	r := rand.New(rand.NewPCG(3, 4))
	files := r.Perm(2000)
	for _, i := range files[:1000] {
		p.read(i)
	}
	if p.k.asks < 990 {
		t.Errorf("%d of 1000 files in no order were pushed", 1000-p.k.asks)
	}
}

// TestLargeFilesAreNotPushed: asking for them is not what takes long.
func TestLargeFilesAreNotPushed(t *testing.T) {
	p := newPushCourse(newCourse(t, 2, 100, 64<<10+1))
	for i := range 200 {
		p.read(i)
	}
	if p.k.asks != 200 {
		t.Errorf("%d of 200 large files were pushed", 200-p.k.asks)
	}
}

// TestMountPushes: through a real mount, from a warm cache.
func TestMountPushes(t *testing.T) {
	h := newHouse(t)
	store, paths := putMany(h, 800)
	d := storeDaemon(h, store)
	read := func(req daemon.MountRequest) daemon.MountStatus {
		t.Helper()
		_, err := d.Mount(t.Context(), req)
		must(t, err)
		for _, path := range paths {
			readFiles(t, req.Dir, []string{path})
			time.Sleep(time.Millisecond) // a reader that does something with them
		}
		st := d.Status().Mounts[0]
		must(t, d.Unmount(req.Dir, false))
		return st
	}
	read(h.request("p/objects:v0"))
	if st := read(h.request("p/objects:v0")); st.Requests > 300 || st.Pushed < 600 {
		t.Errorf("%d files: %d requests, %d pushed", len(paths), st.Requests, st.Pushed)
	}
	strict := h.request("p/objects:v0")
	strict.Verify = daemon.VerifyStrict
	if st := read(strict); st.Pushed != 0 || st.Reads != uint64(len(paths)) {
		t.Errorf("strict: %d reads, %d pushed", st.Reads, st.Pushed)
	}
	if n := store.Counts().Open; n != int64(len(paths)) {
		t.Errorf("%d requests to the store for %d files", n, len(paths))
	}
}

// storeDaemon is a daemon of h's cache on store.
func storeDaemon(h *house, store *memstore.Store) *daemon.Daemon {
	h.t.Helper()
	mux := backends.NewMux(map[manifest.Source]backends.Backend{"file": filestore.New(), "mem": store})
	o := h.options(mux)
	o.ListAhead = []string{"test", listRole}
	d, err := daemon.New(o)
	must(h.t, err)
	h.t.Cleanup(func() { must(h.t, d.Close(context.Background())) })
	return d
}

// TestKilledDaemonLeavesNoLister: the process that lists ends with the daemon, and
// keeps no mount.
func TestKilledDaemonLeavesNoLister(t *testing.T) {
	h := newHouse(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("d/f%03d", i)] = "content"
	}
	h.put("p", "a", files)
	req := h.request("p/a:v0")
	reply, err := daemon.NewClient(h.cache).MountOrStart(t.Context(), req, h.start)
	must(t, err)
	for i := range 200 {
		if got := read(t, fmt.Sprintf("%s/d/f%03d", req.Dir, i)); got != "content" {
			t.Fatalf("f%03d is %q", i, got)
		}
	}
	listers := childrenOf(t, reply.PID)
	if len(listers) != 1 {
		t.Errorf("the daemon has %d children, want the one that lists", len(listers))
	}
	must(t, unix.Kill(reply.PID, unix.SIGKILL))
	wait := time.Now().Add(20 * time.Second)
	for _, pid := range listers {
		for unix.Kill(pid, 0) == nil && !zombie(pid) {
			if time.Now().After(wait) {
				t.Fatalf("process %d goes on after the daemon was killed", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	must(t, unix.Unmount(req.Dir, 0))
}

// childrenOf gives the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	must(t, err)
	for _, path := range paths {
		data, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(data)) {
			n, err := strconv.Atoi(word)
			must(t, err)
			all = append(all, n)
		}
	}
	return all
}

// zombie tells whether process pid has ended and nobody asked.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(data), ") Z ")
}
