package fusefs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"golang.org/x/sys/unix"
)

// shelf is Names held in memory; the snapshots are files.
type shelf struct {
	dir   string
	opens atomic.Int64

	mu       sync.Mutex // guards all below
	projects map[string]map[string]fusefs.Listed
	paths    map[string]string // digest → snapshot
	down     error
}

var _ fusefs.Names = (*shelf)(nil)

func newShelf(t testing.TB) *shelf {
	return &shelf{dir: t.TempDir(), projects: map[string]map[string]fusefs.Listed{}, paths: map[string]string{}}
}

// version adds or replaces a version.
func (s *shelf) version(t testing.TB, project, name string, entries ...manifest.Entry) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	b, err := snapshot.NewBuilder(exact)
	must(t, err)
	defer b.Close()
	for _, e := range entries {
		must(t, b.Add(e))
	}
	sum, err := b.Build(context.Background(), path)
	must(t, err)
	digest := sum.SHA256 + name // a digest for each version, whatever is in it
	s.mu.Lock()
	s.paths[digest] = path
	s.mu.Unlock()
	s.set(project, fusefs.Listed{Name: name, Digest: digest})
}

func (s *shelf) set(project string, l fusefs.Listed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.projects[project] == nil {
		s.projects[project] = map[string]fusefs.Listed{}
	}
	s.projects[project][l.Name] = l
}

func (s *shelf) remove(project, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.projects[project], name)
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *shelf) Projects(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for p := range s.projects {
		all = append(all, p)
	}
	return all, s.down
}

func (s *shelf) Tree(_ context.Context, project string) ([]fusefs.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []fusefs.Listed
	for _, l := range s.projects[project] {
		all = append(all, fusefs.Listed{Name: l.Name, Target: l.Target})
	}
	return all, s.down
}

func (s *shelf) Lookup(_ context.Context, project, name string) (fusefs.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return fusefs.Listed{}, s.down
	}
	l, ok := s.projects[project][name]
	if !ok {
		return l, &manifest.Error{Kind: manifest.KindNotFound, Op: "look up", Ref: name}
	}
	return l, nil
}

func (s *shelf) Open(ctx context.Context, project, name string) (*fusefs.Tree, error) {
	s.opens.Add(1)
	l, err := s.Lookup(ctx, project, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snap, err := snapshot.Open(s.paths[l.Digest])
	if err != nil {
		return nil, err
	}
	return &fusefs.Tree{Snapshot: snap, Project: project, Name: name, Digest: l.Digest, Created: created}, nil
}

// museum is a shelf with two projects.
func museum(t testing.TB) (*shelf, *memory) {
	s, mem := newShelf(t), newMemory()
	s.version(t, "vision", "mnist:v0", mem.put("train/0", []byte("zero")), mem.put("README", []byte("old")))
	s.version(t, "vision", "mnist:v1", mem.put("train/0", []byte("zero")), mem.put("NEWS", []byte("new")))
	s.set("vision", fusefs.Listed{Name: "mnist:latest", Target: "mnist:v1"})
	s.version(t, "text", "wiki:v7", mem.put("a", []byte("article")))
	return s, mem
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMountOfAllProjects(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s})
	if got, want := list(t, m.Dir()), []string{"text", "vision"}; !slices.Equal(got, want) {
		t.Fatalf("projects %q, want %q", got, want)
	}
	if got, want := list(t, m.Dir()+"/vision"), []string{"mnist:latest", "mnist:v0", "mnist:v1"}; !slices.Equal(got, want) {
		t.Fatalf("names %q, want %q", got, want)
	}
	for path, want := range map[string]string{"vision/mnist:v0/README": "old", "vision/mnist:latest/NEWS": "new", "text/wiki:v7/a": "article"} {
		if got, err := os.ReadFile(filepath.Join(m.Dir(), path)); string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if target, err := os.Readlink(m.Dir() + "/vision/mnist:latest"); target != "mnist:v1" {
		t.Errorf("alias points to %q, %v", target, err)
	}
	for _, name := range []string{"nothing", "vision/mnist", "vision/mnist:v2", "vision/mnist:latest/x", "vision/.git", "no such:x", "vision/mnist:v0/train/9"} {
		if _, err := os.Lstat(filepath.Join(m.Dir(), name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want ENOENT", name, err)
		}
	}
}

// inode gives what ls -i shows.
func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}

func TestNumbersAreConsistent(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s})
	version := m.Dir() + "/vision/mnist:v0"
	if a, b := inode(t, version+"/train/.."), inode(t, version); a != b {
		t.Errorf("%d and %d for one directory", a, b)
	}
	seen := map[uint64]string{}
	for _, path := range []string{"", "/vision", "/text", "/vision/mnist:v0", "/vision/mnist:v1", "/vision/mnist:latest", "/vision/mnist:v0/train", "/vision/mnist:v1/train"} {
		n := inode(t, m.Dir()+path)
		if other, ok := seen[n]; ok {
			t.Errorf("%q and %q have one number", path, other)
		}
		seen[n] = path
	}
	fd, err := unix.Open(version, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	for name, want := range map[string]uint64{".": inode(t, version), "..": inode(t, m.Dir()+"/vision"), "train": inode(t, version+"/train")} {
		if got := dirents(t, fd)[name].ino; got != want {
			t.Errorf("number of %q in the listing is %d, want %d", name, got, want)
		}
	}
}

// eventually waits for a change that the kernel may see up to a second late.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestNamesChange(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s, Project: "vision"})
	if got := list(t, m.Dir()); len(got) != 3 {
		t.Fatalf("names %q", got)
	}
	if _, err := os.Lstat(m.Dir() + "/mnist:v2"); err == nil {
		t.Fatal("mnist:v2 is there already")
	}
	before := inode(t, m.Dir()+"/mnist:latest")
	s.version(t, "vision", "mnist:v2", mem.put("NEWEST", []byte("newest")))
	s.set("vision", fusefs.Listed{Name: "mnist:latest", Target: "mnist:v2"})
	if got := list(t, m.Dir()); len(got) != 4 {
		t.Errorf("names %q right after a version was made, want 4", got)
	}
	if got, err := os.ReadFile(m.Dir() + "/mnist:v2/NEWEST"); string(got) != "newest" {
		t.Errorf("new version: %q, %v", got, err)
	}
	eventually(t, "alias moves", func() bool { target, _ := os.Readlink(m.Dir() + "/mnist:latest"); return target == "mnist:v2" })
	if inode(t, m.Dir()+"/mnist:latest") == before {
		t.Error("the moved alias has the number of the old one")
	}
	s.remove("vision", "mnist:v0")
	eventually(t, "deleted version goes", func() bool { _, err := os.Stat(m.Dir() + "/mnist:v0"); return os.IsNotExist(err) })
	s.set("vision", fusefs.Listed{Name: "mnist:latest", Target: "mnist:v1"})
	eventually(t, "alias moves back", func() bool { target, _ := os.Readlink(m.Dir() + "/mnist:latest"); return target == "mnist:v1" })
}

func TestWhatIsInUseOutlivesTheRegistry(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s})
	path := m.Dir() + "/vision/mnist:latest/NEWS"
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	s.fail(&manifest.Error{Kind: manifest.KindUnreachable, Op: "resolve"})
	time.Sleep(1100 * time.Millisecond) // the kernel asks again
	before := m.Requests().Lookup
	if got, err := os.ReadFile(path); string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	if m.Requests().Lookup == before {
		t.Error("the kernel did not ask: the test shows nothing")
	}
	for name, want := range map[string]error{"text": syscall.ETIMEDOUT, "vision/mnist:v0": syscall.ETIMEDOUT} {
		if _, err := os.Stat(filepath.Join(m.Dir(), name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := os.ReadDir(m.Dir() + "/vision"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("list: %v, want ETIMEDOUT", err)
	}
}

func TestReplacedVersionIsStaleNotMixed(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s, MaxIdleTrees: 1, Project: "vision"})
	dir, err := os.Open(m.Dir() + "/mnist:v0")
	must(t, err)
	defer dir.Close()
	s.version(t, "vision", "mnist:v0", mem.put("other", nil))
	s.remove("vision", "mnist:v0")
	s.version(t, "vision", "mnist:v0", mem.put("other2", nil))
	_ = list(t, m.Dir()+"/mnist:v1") // drops v0's snapshot
	var st unix.Stat_t
	err = unix.Fstatat(int(dir.Fd()), "train", &st, 0)
	if err != unix.ESTALE {
		t.Errorf("old directory: %v, want ESTALE", err)
	}
}

func TestOpenSnapshotsAreBounded(t *testing.T) {
	s, mem := newShelf(t), newMemory()
	for i := range 20 {
		s.version(t, "p", fmt.Sprintf("a:v%d", i), mem.put("f", []byte("x")))
	}
	m := mount(t, fusefs.Options{Content: mem, Names: s, Project: "p", MaxIdleTrees: 3})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 5 {
				if _, err := os.ReadFile(fmt.Sprintf("%s/a:v%d/f", m.Dir(), i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := mapped(t); got > 3 {
		t.Errorf("%d snapshots are mapped, want at most 3", got)
	}
	if s.opens.Load() < 20 {
		t.Errorf("%d opens, want 20 or more", s.opens.Load())
	}
}

// mapped counts the snapshots that this process has mapped.
func mapped(t testing.TB) int {
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	paths := map[string]bool{}
	for _, line := range strings.Split(string(maps), "\n") {
		if strings.HasSuffix(line, "/snapshot") {
			paths[line[strings.Index(line, "/"):]] = true
		}
	}
	return len(paths)
}

func TestThousandsOfNamesWhileTheyChange(t *testing.T) {
	s, mem := newShelf(t), newMemory()
	s.version(t, "p", "a:v0", mem.put("f", nil))
	want := []string{"a:v0"}
	for i := range 3000 {
		name := fmt.Sprintf("a:alias%d", i)
		s.set("p", fusefs.Listed{Name: name, Target: "a:v0"})
		want = append(want, name)
	}
	m := mount(t, fusefs.Options{Content: mem, Names: s, Project: "p"})
	fd, err := unix.Open(m.Dir(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	got := names(t, fd, func(i int) {
		if i == 1000 { // in the middle of the listing
			s.remove("p", "a:alias17")
			s.set("p", fusefs.Listed{Name: "a:more", Target: "a:v0"})
		}
	})
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %d names, want %d, each once", len(got), len(want))
	}
}
