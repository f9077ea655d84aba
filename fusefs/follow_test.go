package fusefs_test

import (
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
)

// follower remembers what it heard, by name.
type follower struct {
	mu           sync.Mutex
	begins, ends map[string]int
	dirs         []uint32
}

func (f *follower) Follow(r fusefs.FirstRead) {
	n, err := r.Tree.Snapshot.Node(r.Index)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Begins {
		f.begins[string(n.Name)]++
	}
	if r.Ends {
		f.ends[string(n.Name)]++
	}
}

func (f *follower) FollowDir(d fusefs.FirstListing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirs = append(f.dirs, d.Index)
}

// TestFollower hears of the beginning and the end of each file once, of nothing
// that the kernel has, and of no empty file.
func TestFollower(t *testing.T) {
	f := &follower{begins: map[string]int{}, ends: map[string]int{}}
	m := newMemory()
	tree := build(t, exact, "", m.put("d/empty", nil), m.put("d/large", random(1, 3<<20)), m.put("d/small", random(2, 100)), m.put("d/tail", random(3, 3<<20)))
	dir := mount(t, fusefs.Options{Content: m, Tree: tree, Follower: f, ReadAheadKiB: -1}).Dir() + "/d/"
	for range 2 {
		for _, name := range []string{"empty", "large", "small"} {
			file, err := os.Open(dir + name)
			must(t, err)
			_, err = io.Copy(io.Discard, struct{ io.Reader }{file})
			must(t, err)
			file.Close()
		}
	}
	tail, err := os.Open(dir + "tail")
	must(t, err)
	defer tail.Close()
	_, err = tail.ReadAt(make([]byte, 10), 3<<20-10)
	must(t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := keysOnce(t, f.begins); !slices.Equal(got, []string{"large", "small"}) {
		t.Errorf("begun: %v", got)
	}
	if got := keysOnce(t, f.ends); !slices.Equal(got, []string{"large", "small", "tail"}) {
		t.Errorf("ended: %v", got)
	}
}

func keysOnce(t *testing.T, counts map[string]int) (keys []string) {
	for k, n := range counts {
		if n != 1 {
			t.Errorf("%s: told %d times", k, n)
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
