package fusefs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// sample is a tree of odd names and sizes around those that matter: empty, a
// page, a request.
func sample() map[string][]byte {
	files := map[string][]byte{}
	for i, size := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 128 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 7} {
		files["sizes/"+string(rune('a'+i))] = random(uint64(i), size)
	}
	for i, name := range []string{"with space", "ünï/çödé/深い", "a+b", "100%", "#x", "q?.txt", "-rf", "back\\slash", "new\nline",
		"\xff\xfe", strings.Repeat("n", 255), "d/d/d/d/d/d", "dir.txt/x", "dir/y", "dir-a"} {
		files[name] = random(uint64(100+i), 100+i)
	}
	return files
}

// mountFiles mounts files as one version.
func mountFiles(t testing.TB, files map[string][]byte) (*fusefs.Mounted, *memory) {
	t.Helper()
	mem := newMemory()
	var entries []manifest.Entry
	for name, data := range files {
		entries = append(entries, mem.put(name, data))
	}
	return mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", entries...)}), mem
}

// dirsOf gives all directories of a tree with the number of their subdirectories.
func dirsOf(files map[string][]byte) map[string]int {
	dirs := map[string]int{".": 0}
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := dirs[dir]; !ok {
				dirs[dir] = 0
			}
		}
	}
	for dir := range dirs {
		if dir != "." {
			dirs[path.Dir(dir)]++
		}
	}
	return dirs
}

func TestMountedTreeEqualsTheManifest(t *testing.T) {
	files := sample()
	m, _ := mountFiles(t, files)
	dirs := dirsOf(files)
	seen := map[string]bool{}
	err := filepath.WalkDir(m.Dir(), func(name string, d fs.DirEntry, err error) error {
		must(t, err)
		rel, _ := filepath.Rel(m.Dir(), name)
		seen[rel] = true
		info, err := os.Lstat(name)
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if !info.ModTime().Equal(created) {
			t.Errorf("%q: modified %v, want %v", rel, info.ModTime(), created)
		}
		if st.Uid != uint32(os.Getuid()) || st.Blksize < 4096 {
			t.Errorf("%q: uid %d, blksize %d", rel, st.Uid, st.Blksize)
		}
		if d.IsDir() {
			checkDirStat(t, rel, st, dirs)
			return nil
		}
		checkFile(t, name, rel, st, files[rel])
		return nil
	})
	must(t, err)
	if len(seen) != len(files)+len(dirs) {
		t.Errorf("saw %d names, want %d files and %d directories", len(seen), len(files), len(dirs))
	}
}

func checkDirStat(t *testing.T, rel string, st *syscall.Stat_t, dirs map[string]int) {
	t.Helper()
	sub, ok := dirs[rel]
	if !ok {
		t.Errorf("%q is a directory, want none", rel)
	}
	if want := uint64(2 + sub); uint64(st.Nlink) != want || st.Mode != syscall.S_IFDIR|0o555 || st.Blocks != 0 {
		t.Errorf("%q: nlink %d want %d, mode %o, blocks %d", rel, st.Nlink, want, st.Mode, st.Blocks)
	}
}

func checkFile(t *testing.T, name, rel string, st *syscall.Stat_t, want []byte) {
	t.Helper()
	if st.Size != int64(len(want)) || st.Blocks != (int64(len(want))+511)/512 || st.Nlink != 1 || st.Mode != syscall.S_IFREG|0o444 {
		t.Errorf("%q: size %d want %d, blocks %d, nlink %d, mode %o", rel, st.Size, len(want), st.Blocks, st.Nlink, st.Mode)
	}
	got, err := os.ReadFile(name)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%q: other bytes than recorded", rel)
	}
}

func TestStandardLibrarySuitePasses(t *testing.T) {
	files := sample()
	for name, data := range files {
		if len(data) > 128<<10 { // it reads byte by byte
			delete(files, name)
		}
	}
	delete(files, "\xff\xfe")    // fs.ValidPath wants UTF-8
	delete(files, "back\\slash") // TestFS escapes it in a pattern
	m, _ := mountFiles(t, files)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	if err := fstest.TestFS(os.DirFS(m.Dir()), names...); err != nil {
		t.Fatal(err)
	}
}

func TestPositionalReads(t *testing.T) {
	data := random(1, 3<<20+7)
	m, _ := mountFiles(t, map[string][]byte{"f": data})
	file, err := os.Open(filepath.Join(m.Dir(), "f"))
	must(t, err)
	defer file.Close()
	for _, off := range []int{0, 1, 4095, 4096, 1<<20 - 1, 1 << 20, 3 << 20, len(data) - 1, len(data), len(data) + 5000} {
		for _, n := range []int{1, 4096, 100_000, 1 << 20, 4 << 20} {
			p := make([]byte, n)
			got, err := file.ReadAt(p, int64(off))
			from, to := min(off, len(data)), min(off+n, len(data))
			want := data[from:to]
			if !bytes.Equal(p[:got], want) || (err != nil) != (got < n) {
				t.Fatalf("ReadAt(%d, %d): %d bytes, %v; want %d", off, n, got, err, len(want))
			}
		}
	}
}

func TestWritesAreRefused(t *testing.T) {
	m, _ := mountFiles(t, map[string][]byte{"d/f": []byte("x")})
	f, d := filepath.Join(m.Dir(), "d/f"), filepath.Join(m.Dir(), "d")
	for name, call := range map[string]func() error{
		"open for writing": func() error { _, err := unix.Open(f, unix.O_RDWR, 0); return err },
		"create":           func() error { _, err := unix.Open(d+"/new", unix.O_CREAT|unix.O_WRONLY, 0o644); return err },
		"mkdir":            func() error { return unix.Mkdir(d+"/new", 0o755) },
		"unlink":           func() error { return unix.Unlink(f) },
		"rmdir":            func() error { return unix.Rmdir(d) },
		"rename":           func() error { return unix.Rename(f, d+"/g") },
		"link":             func() error { return unix.Link(f, d+"/g") },
		"symlink":          func() error { return unix.Symlink("x", d+"/g") },
		"chmod":            func() error { return unix.Chmod(f, 0o600) },
		"chown":            func() error { return unix.Chown(f, 1, 1) },
		"truncate":         func() error { return unix.Truncate(f, 0) },
		"utimes":           func() error { return unix.Utimes(f, make([]unix.Timeval, 2)) },
		"setxattr":         func() error { return unix.Setxattr(f, "user.x", []byte("y"), 0) },
		"removexattr":      func() error { return unix.Removexattr(f, fusefs.XattrRef) },
	} {
		if err := call(); err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
}

func TestNamesThatAreNot(t *testing.T) {
	m, _ := mountFiles(t, map[string][]byte{"d/f": []byte("x")})
	for name, want := range map[string]error{
		"missing": unix.ENOENT, "d/missing": unix.ENOENT, "d/f/x": unix.ENOTDIR,
		strings.Repeat("n", 256): unix.ENAMETOOLONG, strings.Repeat("n", 1025): unix.ENAMETOOLONG,
	} {
		if _, err := os.Lstat(filepath.Join(m.Dir(), name)); !errors.Is(err, want) {
			t.Errorf("lstat %.20q: %v, want %v", name, err, want)
		}
	}
	before := m.Requests().Lookup
	for range 10 {
		_, _ = os.Lstat(filepath.Join(m.Dir(), "d/missing"))
	}
	if got := m.Requests().Lookup - before; got != 0 {
		t.Errorf("%d lookups of a name known to be missing, want 0", got)
	}
}

func TestModificationTimes(t *testing.T) {
	mem := newMemory()
	e := mem.put("old", []byte("x"))
	e.ModTime = time.Date(1969, 7, 20, 20, 17, 40, 5, time.UTC)
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", e)})
	info, err := os.Stat(filepath.Join(m.Dir(), "old"))
	must(t, err)
	if !info.ModTime().Equal(e.ModTime) {
		t.Errorf("modified %v, want %v", info.ModTime(), e.ModTime)
	}
}

func TestShadowedFilesAreHidden(t *testing.T) {
	mem := newMemory()
	o := exact
	o.AllowShadowed = true
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, o, "", mem.put("a", []byte("file")), mem.put("a/b", []byte("below")), mem.put("c", nil))})
	entries, err := os.ReadDir(m.Dir())
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+e.Type().String())
	}
	if want := []string{"ad---------", "c----------"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	if got, err := os.ReadFile(filepath.Join(m.Dir(), "a/b")); string(got) != "below" {
		t.Errorf("a/b: %q, %v", got, err)
	}
}

func TestStatfs(t *testing.T) {
	files := sample()
	m, _ := mountFiles(t, files)
	var st unix.Statfs_t
	must(t, unix.Statfs(m.Dir(), &st))
	var bytes uint64
	for _, data := range files {
		bytes += uint64(len(data))
	}
	if got, want := st.Blocks*uint64(st.Bsize), bytes; got < want || got > want+uint64(st.Bsize) {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if want := uint64(len(files) + len(dirsOf(files))); st.Files != want || st.Bavail != 0 || st.Namelen != 255 {
		t.Errorf("files %d want %d, available %d, name length %d", st.Files, want, st.Bavail, st.Namelen)
	}
	if st.Flags&unix.ST_RDONLY == 0 || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
		t.Errorf("flags %#x, want read-only, nosuid, nodev", st.Flags)
	}
}
