package daemon_test

import (
	"context"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
)

// listedKernel knows which directories of a version were listed, by path.
type listedKernel struct {
	fakeKernel
	mu     sync.Mutex
	cached map[string]int
}

func (k *listedKernel) List(_ context.Context, all []lister.Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range all {
		if r.From == 0 {
			k.cached[r.Dir]++
		}
	}
	return nil
}

// walker reads directories as the kernel does: it asks for those that are not cached.
type walker struct {
	*course
	k       *listedKernel
	settled func()
	asked   int
}

func newWalker(c *course) *walker {
	w := &walker{course: c, k: &listedKernel{fakeKernel: fakeKernel{tree: c.tree}, cached: map[string]int{}}}
	c.f, w.settled = daemon.NewPusher(c.prefetch, func(manifest.Object, []byte) bool { return false }, w.k)
	return w
}

// list lists a directory, by its node.
func (w *walker) list(dir uint32) {
	below, _ := w.tree.Snapshot.Path(dir)
	w.k.mu.Lock()
	cached := w.k.cached["/m/"+below] > 0
	w.k.mu.Unlock()
	if !cached {
		w.asked++
		w.f.FollowDir(fusefs.FirstListing{At: fusefs.At{Tree: w.tree, Index: dir}})
		w.settled()
	}
}

func (w *walker) dirs() (all []uint32) {
	for i := range w.tree.Snapshot.Nodes() {
		if n, err := w.tree.Snapshot.Stat(i); err == nil && n.Dir {
			all = append(all, i)
		}
	}
	return all
}

// TestWalkHasHalfListed: of a walk in order the other half is listed beside it, each
// directory once, and nothing that it did not come to but for one stripe.
func TestWalkHasHalfListed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, per := rapid.IntRange(200, 500).Draw(rt, "dirs"), rapid.IntRange(1, 200).Draw(rt, "per")
		w := newWalker(newCourse(t, n, per, 1))
		dirs := w.dirs()
		until := rapid.IntRange(150, len(dirs)).Draw(rt, "until")
		for _, dir := range dirs[:until] {
			w.list(dir)
		}
		first := min(8192/per, until) // until that many names came, nothing is listed
		if w.asked > first+(until-first)*6/10+40 {
			rt.Fatalf("%d of %d directories were listed by the walk itself", w.asked, until)
		}
		if useless := len(w.k.cached) - (until - w.asked); useless > 32 {
			rt.Fatalf("%d directories were listed for nobody", useless)
		}
		for dir, times := range w.k.cached {
			if times > 1 {
				rt.Fatalf("%s was listed %d times", dir, times)
			}
		}
	})
}

// TestFewListingsStartNothing: a look at some directories is no walk.
func TestFewListingsStartNothing(t *testing.T) {
	w := newWalker(newCourse(t, 100, 10, 1))
	dirs := w.dirs()
	for _, i := range []int{0, 1, 2, 50, 7, 8, 9, 99, 98, 97, 96, 20, 22, 24, 26} {
		w.list(dirs[i])
	}
	if n := len(w.k.cached); n != 0 {
		t.Errorf("%d directories were listed for nobody", n)
	}
}
