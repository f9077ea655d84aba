package fusefs_test

import (
	"fmt"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"golang.org/x/sys/unix"
)

// dirent is an entry as getdents64 gives it.
type dirent struct {
	name string
	ino  uint64
	off  int64
	typ  byte
}

// getdents reads one buffer of entries from where fd stands.
func getdents(t testing.TB, fd int, buf []byte) []dirent {
	t.Helper()
	n, err := unix.Getdents(fd, buf)
	must(t, err)
	var all []dirent
	for p := buf[:n]; len(p) > 0; {
		size := int(*(*uint16)(ptr(p, 16)))
		end := 19
		for p[end] != 0 {
			end++
		}
		all = append(all, dirent{string(p[19:end]), *(*uint64)(ptr(p, 0)), *(*int64)(ptr(p, 8)), p[18]})
		p = p[size:]
	}
	return all
}

// dirents gives all entries by name.
func dirents(t testing.TB, fd int) map[string]dirent {
	t.Helper()
	_, err := unix.Seek(fd, 0, 0)
	must(t, err)
	all := map[string]dirent{}
	for buf := make([]byte, 32<<10); ; {
		part := getdents(t, fd, buf)
		if len(part) == 0 {
			return all
		}
		for _, d := range part {
			all[d.name] = d
		}
	}
}

// names lists fd from where it stands, sorted, without dots; a name that comes
// twice is in it twice. at is told how many came so far.
func names(t testing.TB, fd int, at func(n int)) []string {
	t.Helper()
	var all []string
	n := 0
	for buf := make([]byte, 4096); ; {
		part := getdents(t, fd, buf)
		if len(part) == 0 {
			sort.Strings(all)
			return all
		}
		for _, d := range part {
			if d.name != "." && d.name != ".." {
				all = append(all, d.name)
			}
			if n++; at != nil {
				at(n)
			}
		}
	}
}

// flat gives a version with n empty files in one directory.
func flat(t testing.TB, n int) *fusefs.Tree {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	b, err := snapshot.NewBuilder(exact)
	must(t, err)
	defer b.Close()
	for i := range n {
		must(t, b.Add(manifest.Entry{Path: fmt.Sprintf("d/%07d.png", i), Ref: fmt.Sprintf("mem://b/%07d.png", i), Digest: "d", Size: int64(i)}))
	}
	sum, err := b.Build(t.Context(), path)
	must(t, err)
	return open(t, path, "mnist:v0", sum.SHA256)
}

func TestSeekInDirectory(t *testing.T) {
	m := mount(t, fusefs.Options{Content: newMemory(), Tree: flat(t, 5000)})
	for range 2 { // the second time the kernel reads what it kept
		fd, err := unix.Open(m.Dir()+"/d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		first := names(t, fd, nil)
		if len(first) != 5000 {
			t.Fatalf("%d names, want 5000", len(first))
		}
		all := dirents(t, fd)
		for _, k := range []int{0, 1, 17, 2500, 4998} {
			_, err := unix.Seek(fd, all[first[k]].off, 0)
			must(t, err)
			if next := getdents(t, fd, make([]byte, 4096)); next[0].name != first[k+1] {
				t.Errorf("after %s comes %s, want %s", first[k], next[0].name, first[k+1])
			}
		}
		_, err = unix.Seek(fd, all[first[4999]].off, 0)
		must(t, err)
		if rest := getdents(t, fd, make([]byte, 4096)); len(rest) != 0 {
			t.Errorf("%d entries after the last", len(rest))
		}
		unix.Close(fd)
	}
}

func TestDirectoryOfAMillion(t *testing.T) {
	m := mount(t, fusefs.Options{Content: newMemory(), Tree: flat(t, 1_000_000)})
	fd, err := unix.Open(m.Dir()+"/d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	for round := range 2 { // the second after rewinding
		last, n := "", 0
		_, err := unix.Seek(fd, 0, 0)
		must(t, err)
		for buf := make([]byte, 64<<10); ; {
			part := getdents(t, fd, buf)
			if len(part) == 0 {
				break
			}
			for _, d := range part {
				if d.name == "." || d.name == ".." {
					continue
				}
				if n++; d.name <= last || d.typ != unix.DT_REG {
					t.Fatalf("round %d: %q after %q, type %d", round, d.name, last, d.typ)
				}
				last = d.name
			}
		}
		if n != 1_000_000 {
			t.Errorf("round %d: %d names, want 1,000,000", round, n)
		}
	}
}

func TestWalkAsksOnceForABuffer(t *testing.T) {
	const n = 100_000
	m := mount(t, fusefs.Options{Content: newMemory(), Tree: flat(t, n)})
	begin := time.Now()
	walk(t, m.Dir(), n)
	first := time.Since(begin)
	asked := m.Requests()
	if asked.Lookup > 2 || asked.GetAttr > 3 || asked.ReadDir > n/20 {
		t.Errorf("the first walk made %+v", asked)
	}
	for try := 1; ; try++ { // a kernel that needs memory forgets names
		begin, asked = time.Now(), m.Requests()
		walk(t, m.Dir(), n)
		again := m.Requests().Total() - asked.Total()
		t.Logf("first %.2f µs an entry; again %.2f µs, %d requests", perEntry(first, n), perEntry(time.Since(begin), n), again)
		if again == 0 {
			break
		}
		if try == 5 {
			t.Fatalf("each of %d walks more made requests", try)
		}
	}
}

func perEntry(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }

// walk lists d and asks for the attributes of all that is in it.
func walk(t testing.TB, dir string, want int) {
	t.Helper()
	fd, err := unix.Open(dir+"/d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	n := 0
	var st unix.Stat_t
	for buf := make([]byte, 32<<10); ; {
		part := getdents(t, fd, buf)
		if len(part) == 0 {
			break
		}
		for _, d := range part {
			must(t, unix.Fstatat(fd, d.name, &st, unix.AT_SYMLINK_NOFOLLOW))
			n++
		}
	}
	if n != want+2 {
		t.Fatalf("walked %d entries, want %d", n, want+2)
	}
}
