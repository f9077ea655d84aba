package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// course is a version and what was asked of its files, which it numbers in their
// order.
type course struct {
	tree  *fusefs.Tree
	nodes []uint32 // of the files
	asked []int    // how often each was asked for
	sizes map[int]int64
	order []int
	room  int // how many more fetches the cache has room for
	here  bool
	f     fusefs.Follower
}

// newCourse makes a version of dirs directories with per files of size each.
func newCourse(t testing.TB, dirs, per int, size int64) *course {
	t.Helper()
	dir := t.TempDir()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, Meta: snapshot.Meta{ExactSizes: true}})
	ok(t, err)
	defer b.Close()
	for i := range dirs * per {
		ok(t, b.Add(manifest.Entry{Path: fmt.Sprintf("d%04d/f%06d", i/per, i), Ref: fmt.Sprintf("s3://b/%d", i), Digest: "d", Size: size}))
	}
	_, err = b.Build(t.Context(), filepath.Join(dir, "snapshot"))
	ok(t, err)
	s, err := snapshot.Open(filepath.Join(dir, "snapshot"))
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	c := &course{tree: &fusefs.Tree{Snapshot: s}, asked: make([]int, dirs*per), sizes: map[int]int64{}, room: 1 << 30}
	for i := uint32(1); i < s.Nodes(); i++ {
		if n, err := s.Node(i); err == nil && !n.Dir {
			c.nodes = append(c.nodes, i)
		}
	}
	c.f = daemon.NewAhead(c.prefetch)
	return c
}

// again is the same version for a new mount.
func (c *course) again() *course {
	n := &course{tree: c.tree, nodes: c.nodes, asked: make([]int, len(c.asked)), sizes: map[int]int64{}, room: 1 << 30}
	n.f = daemon.NewAhead(n.prefetch)
	return n
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *course) prefetch(obj manifest.Object, n int64) cache.Ahead {
	i, _ := strconv.Atoi(strings.TrimPrefix(obj.Ref, "s3://b/"))
	if c.room == 0 {
		return cache.AheadFull
	}
	c.room--
	c.asked[i]++
	c.order = append(c.order, i)
	c.sizes[i] = min(n, obj.Size)
	if c.here || c.asked[i] > 1 {
		return cache.AheadHere
	}
	return cache.AheadStarted
}

func (c *course) read(files ...int) {
	for _, i := range files {
		c.f.Follow(fusefs.FirstRead{At: fusefs.At{Tree: c.tree, Index: c.nodes[i]}, Begins: true, Ends: true})
	}
}

// useless counts files that were asked for and are not among those read.
func (c *course) useless(read []int) (n int) {
	for i, times := range c.asked {
		if times > 0 && !slices.Contains(read, i) {
			n++
		}
	}
	return n
}

// early counts the files of a sequence that were asked for before they were read.
func (c *course) early(read []int) (n int) {
	for _, i := range read {
		before := c.asked[i] > 0
		c.read(i)
		if before {
			n++
		}
	}
	return n
}

func span(from, to int) []int {
	s := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

// turns lets readers have turns, one file each.
func turns(readers ...[]int) (all []int) {
	for i := 0; ; i++ {
		n := len(all)
		for _, r := range readers {
			if i < len(r) {
				all = append(all, r[i])
			}
		}
		if len(all) == n {
			return all
		}
	}
}

// TestAheadFindsOrders: in each of these orders nearly every file is asked for
// before it is read, and few twice.
func TestAheadFindsOrders(t *testing.T) {
	const n = 4000
	ranges, strides, batches := make([][]int, 8), make([][]int, 8), make([][]int, 8)
	for i := range n {
		ranges[i/(n/8)] = append(ranges[i/(n/8)], i)
		strides[i%8] = append(strides[i%8], i)
		batches[i/32%8] = append(batches[i/32%8], i)
	}
	jitter := span(0, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i+4 <= n; i += 4 {
		r.Shuffle(4, func(a, b int) { jitter[i+a], jitter[i+b] = jitter[i+b], jitter[i+a] })
	}
	gaps := slices.DeleteFunc(span(0, n), func(i int) bool { return i%9 == 8 })
	for name, tc := range map[string]struct {
		read  []int
		least int // percent
	}{
		"in order":                  {span(0, n), 98},
		"from the middle":           {span(n/2, n), 98},
		"each its own range":        {turns(ranges...), 95},
		"strided":                   {turns(strides...), 98},
		"batches":                   {turns(batches...), 85},
		"a little out of it":        {jitter, 95},
		"with a gap here and there": {gaps, 95},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCourse(t, 20, n/20, 8<<10)
			if early := c.early(tc.read); early*100 < tc.least*len(tc.read) {
				t.Errorf("%d of %d files were asked for before they were read, want %d %%", early, len(tc.read), tc.least)
			}
			if len(c.order)*100 > 110*n {
				t.Errorf("%d questions for %d files", len(c.order), n)
			}
		})
	}
}

// TestAheadLeavesShuffledReadsAlone: while a third of the files is read in no order,
// few are asked for.
func TestAheadLeavesShuffledReadsAlone(t *testing.T) {
	for _, n := range []int{60, 100, 1000, 10_000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			asked, read := 0, 0
			base := newCourse(t, 2, n/2, 8<<10)
			for seed := range uint64(60_000 / n) {
				c := base.again()
				c.read(rand.New(rand.NewPCG(seed, 1)).Perm(n)[:n/3]...)
				asked, read = asked+len(c.order), read+n/3
			}
			if asked*100 > 3*read {
				t.Errorf("%d files were asked for while %d were read in no order", asked, read)
			}
		})
	}
	t.Run("directories", func(t *testing.T) {
		c := newCourse(t, 500, 8, 8<<10)
		var read []int
		for _, d := range rand.New(rand.NewPCG(1, 1)).Perm(500)[:200] {
			c.read(span(8*d, 8*d+8)...)
			read = append(read, span(8*d, 8*d+8)...)
		}
		if n := c.useless(read); n*100 > 3*len(read) {
			t.Errorf("%d files of other directories were asked for while %d were read", n, len(read))
		}
	})
}

// TestAheadFetchesTheRest: when much of a version was read in no order, the others are
// asked for, each once, and not those that are too large to be brought on a guess.
func TestAheadFetchesTheRest(t *testing.T) {
	for _, n := range []int{64, 1000, 10_000} {
		order := rand.New(rand.NewPCG(1, 1)).Perm(n)
		c := newCourse(t, 2, n/2, 8<<10)
		c.read(order[:n/2]...)
		if early := c.early(order[n/2:]); early*100 < 90*(n-n/2) {
			t.Errorf("%d of the last %d files were asked for before they were read", early, n-n/2)
		}
		if len(c.order)*100 > 66*n {
			t.Errorf("%d questions for %d files", len(c.order), n)
		}
	}
	c := newCourse(t, 1, 20, 8<<10)
	c.read(18, 3, 11, 0, 15, 6, 13, 1, 9, 19, 4)
	if n := len(c.order); n > 0 {
		t.Errorf("%d files of 20 were asked for after 11", n)
	}
	c = newCourse(t, 2, 500, 2<<20)
	c.read(rand.New(rand.NewPCG(1, 1)).Perm(1000)...)
	if n := len(c.order); n > 30 {
		t.Errorf("%d files of 2 MiB were asked for", n)
	}
}

// TestAheadFetchesTheRestWhenThereIsRoom: what there was no room for is asked for
// later, and files that are here cost next to nothing.
func TestAheadFetchesTheRestWhenThereIsRoom(t *testing.T) {
	order := rand.New(rand.NewPCG(1, 1)).Perm(4000)
	c := newCourse(t, 2, 2000, 8<<10)
	c.room = 0
	c.read(order[:3000]...)
	c.room = 1 << 30
	if early := c.early(order[3000:]); early < 900 {
		t.Errorf("%d of 1000 files were asked for before they were read", early)
	}
	c = c.again()
	c.here = true
	c.read(order...)
	if n := len(c.order); n > 300 {
		t.Errorf("%d questions for 4000 files that are here", n)
	}
}

// TestAheadStops: a reader that stops leaves a window behind, a small one if it
// has just begun, and nothing behind the end of its first directory.
func TestAheadStops(t *testing.T) {
	for _, tc := range []struct{ read, most int }{{2, 0}, {4, 4}, {10, 24}, {600, 256}, {990, 10}} {
		c := newCourse(t, 2, 1000, 8<<10)
		c.read(span(0, tc.read)...)
		if n := c.useless(span(0, tc.read)); n > tc.most {
			t.Errorf("%d files read in order: %d more were asked for, want at most %d", tc.read, n, tc.most)
		}
	}
}

// TestAheadWithoutRoom: what there was no room for is asked for later.
func TestAheadWithoutRoom(t *testing.T) {
	c := newCourse(t, 1, 200, 8<<10)
	c.room = 0
	c.read(span(0, 50)...)
	c.room = 1 << 30
	if early := c.early(span(50, 200)); early < 148 {
		t.Errorf("%d of 150 files were asked for before they were read", early)
	}
}

// TestAheadOfWhatIsHere: files that are here cost next to nothing, and the first
// one that is not is found.
func TestAheadOfWhatIsHere(t *testing.T) {
	c := newCourse(t, 1, 6000, 8<<10)
	c.here = true
	c.read(span(0, 3200)...)
	if n := len(c.order); n > 250 {
		t.Errorf("%d questions for 3200 files that are here", n)
	}
	c.here = false
	if early := c.early(span(3200, 6000)); early < 2300 {
		t.Errorf("%d of 2800 files that are not here were asked for early", early)
	}
}

// TestAheadOfLargeFiles: only their beginning, until a reader goes to the end.
func TestAheadOfLargeFiles(t *testing.T) {
	c := newCourse(t, 1, 64, 5<<20)
	c.read(0, 1, 2)
	for i := 3; i < 20; i++ {
		c.f.Follow(fusefs.FirstRead{At: fusefs.At{Tree: c.tree, Index: c.nodes[i]}, Begins: true, Ends: false})
	}
	for i, size := range c.sizes {
		if size != 1<<20 {
			t.Fatalf("%d bytes of file %d were asked for though only beginnings are read", size, i)
		}
	}
	seen := len(c.order)
	for i := 20; i < 40; i++ {
		c.f.Follow(fusefs.FirstRead{At: fusefs.At{Tree: c.tree, Index: c.nodes[i]}, Begins: true, Ends: false})
		c.f.Follow(fusefs.FirstRead{At: fusefs.At{Tree: c.tree, Index: c.nodes[i]}, Begins: false, Ends: true})
	}
	if len(c.order) == seen {
		t.Fatal("nothing more was asked for")
	}
	if last := c.order[len(c.order)-1]; c.sizes[last] != 5<<20 {
		t.Errorf("%d bytes of file %d were asked for though files are read to their ends", c.sizes[last], last)
	}
	if ahead := c.order[len(c.order)-1] - 39; ahead > 20 {
		t.Errorf("%d files of 5 MiB ahead, more than 64 MiB and what was asked for before", ahead)
	}
}

// TestAheadNeverFar: whatever is read, nothing is asked for that is not within a
// window behind a file that was read, or more often than there are readers.
func TestAheadNeverFar(t *testing.T) {
	base := newCourse(t, 10, 100, 8<<10)
	rapid.Check(t, func(t *rapid.T) {
		c := base.again()
		readers := rapid.IntRange(1, 6).Draw(t, "readers")
		at := make([]int, readers)
		read := make([]bool, 1000)
		for i := range at {
			at[i] = rapid.IntRange(0, 999).Draw(t, "start")
		}
		for range rapid.IntRange(0, 400).Draw(t, "reads") {
			r := rapid.IntRange(0, readers-1).Draw(t, "reader")
			at[r] = min(at[r]+rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 2, 3, 40}).Draw(t, "step"), 999)
			read[at[r]] = true
			asked := len(c.order)
			c.read(at[r])
			for _, i := range c.order[asked:] {
				if i <= at[r]-16 || i > at[r]+256+32 {
					t.Fatalf("file %d was read and %d asked for", at[r], i)
				}
			}
		}
	})
}

// BenchmarkFollow is what a read costs when there is nothing to do.
func BenchmarkFollow(b *testing.B) {
	c := newCourse(b, 1, 100_000, 8<<10)
	c.here = true
	for name, order := range map[string][]int{"order": span(0, 100_000), "shuffled": rand.Perm(100_000)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.read(order[i%len(order)])
			}
		})
	}
}
