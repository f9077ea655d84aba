package integration_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// differences are those between a mount and a read-only file system of ext4 that are
// decided on. What a test compares leaves them out; nothing else is left out.
var differences = []struct{ what, why string }{
	{"st_dev, st_ino", "another file system; the numbers of a mount are computed from the version"},
	{"st_size, st_blocks of directories", "0: a manifest has no directories that take room"},
	{"st_blocks, st_blksize of files", "blocks of 512 bytes, rounded up, whatever the source's file system does"},
	{"times", "when the object was last modified, if that is known, else when the version was made"},
	{"order and offsets of names in a directory", "sorted as in the manifest; ext4 sorts by hashes"},
	{"extended attributes", "user.pinfs.*, and none of other namespaces: ENOTSUP"},
	{"alignment of O_DIRECT", "none is asked for; ext4 gives EINVAL"},
	{"statfs numbers", "those of the version"},
	{"seeking in directories to where no name is", "ext4 takes any hash"},
	{"FS_IOC_* and file handles", "there are none: ENOTTY, EOPNOTSUPP"},
}

// twins are one tree twice: below a mount, and on an ext4 of its own, which is mounted
// read-only while calls are compared.
type twins struct {
	t    *testing.T
	h    *host
	base string // the tree's parent
	mnt  string // a mount of all versions
	made int
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{t: t, h: newHost(t), base: newDisk(t, 1<<30).dir}
	w.h.put("twins/tree", w.seedTree())
	w.mnt = w.h.mount("twins")
	return w
}

// remount lets the file system be written, or not.
func (w *twins) remount(t *rapid.T, how uintptr) {
	t.Helper()
	if err := unix.Mount("", w.base, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV|how, "data=writeback"); err != nil {
		t.Fatalf("remount: %v", err)
	}
}

// seedTree is a first version, so that there is something to mount.
func (w *twins) seedTree() string {
	w.t.Helper()
	dir := filepath.Join(w.base, "seed")
	write(w.t, filepath.Join(dir, "file"), "x")
	return dir
}

// tree is what a random tree holds: files by path, and all names.
type tree struct {
	files map[string]int // size
	names []string       // of files and directories, "" for the root
}

// oddNames are parts of paths that have been trouble somewhere.
var oddNames = []string{
	"a", "b", "c", "A", "data", "with space", " leading", "trailing ", "-rf", "--", "#", "%41", "100%", "a+b", "?q", "*", "[x]", "'", `"`, `back\slash`, "$HOME",
	"new\nline", "tab\t", "\x01", "\x7f", "...", "..a", "a..", ".hidden", "é", "e\u0301", "深い", "🦀", "\u202eltr", "\ufeffbom", "v1:latest", "a:v0", "@", "~", "COM1", "nul",
	strings.Repeat("n", 255), strings.Repeat("é", 127), "0", "00", "a.b", "a-b", "ab",
}

// edges are sizes at the ends of pages, blocks and requests.
var edges = []int{0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 131071, 131072, 131073, 262144, 1<<20 - 1, 1 << 20, 1<<20 + 1}

// draw draws a tree of some files.
func drawTree(t *rapid.T) tree {
	tr := tree{files: map[string]int{".case": 40}} // random bytes: no two trees are equal
	dirs := map[string]bool{"": true}
	for range rapid.IntRange(1, 12).Draw(t, "files") {
		dir := ""
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 2, 3, 9}).Draw(t, "depth") {
			dir = path.Join(dir, rapid.SampledFrom(oddNames).Draw(t, "dir"))
			if len(dir) > 1500 {
				break
			}
		}
		name := path.Join(dir, rapid.SampledFrom(oddNames).Draw(t, "name"))
		if tr.clashes(name, dirs) {
			continue
		}
		size := rapid.SampledFrom(edges).Draw(t, "size")
		if rapid.Bool().Draw(t, "any size") {
			size = rapid.IntRange(0, 300_000).Draw(t, "size")
		}
		tr.files[name] = size
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	for name := range tr.files {
		tr.names = append(tr.names, name)
	}
	for dir := range dirs {
		tr.names = append(tr.names, dir)
	}
	sort.Strings(tr.names)
	return tr
}

// clashes tells whether name can't be a file: it, or a directory on its way, is
// something else already.
func (tr tree) clashes(name string, dirs map[string]bool) bool {
	if _, ok := tr.files[name]; ok || dirs[name] {
		return true
	}
	for d := path.Dir(name); d != "."; d = path.Dir(d) {
		if _, ok := tr.files[d]; ok {
			return true
		}
	}
	return false
}

// make builds the tree as a directory and as a version; it gives both roots.
func (w *twins) make(t *rapid.T, tr tree) (mnt, ro string) {
	w.made++
	dir := filepath.Join(w.base, "case-"+strconv.Itoa(w.made))
	w.remount(t, 0)
	t.Cleanup(func() {
		w.remount(t, 0)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	random := rand.New(rand.NewPCG(uint64(w.made), 1))
	for name, size := range tr.files {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range tr.names {
		mode := os.FileMode(0o444)
		if _, ok := tr.files[name]; !ok {
			mode = 0o555
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	w.remount(t, unix.MS_RDONLY)
	return filepath.Join(w.mnt, "tree:"+w.h.put("twins/tree", dir).Version), dir
}

// errno is the outcome of a call that failed.
func errno(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return unix.ErrnoName(e)
	}
	return err.Error()
}

func bytesOf(b []byte) string {
	return fmt.Sprintf("%d bytes %.8x", len(b), sha256.Sum256(b))
}

// TestDifferential does random things to random trees, as a version below a mount and
// on a read-only ext4, and wants the same outcome: bytes, attributes, errnos.
func TestDifferential(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa(rounds(60, 5000))); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = checks.Value.Set(before) }()
	w := newTwins(t)
	kinds, calls := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		tr := drawTree(t)
		mnt, ro := w.make(t, tr)
		w.sameTree(t, mnt, ro)
		for range rapid.IntRange(20, 120).Draw(t, "calls") {
			a := drawAction(t, tr)
			got, want := a.do(mnt), a.do(ro)
			if got != want {
				t.Fatalf("%s:\n got %s\nwant %s", a.text, got, want)
			}
			kinds[a.kind+" "+firstWord(want)]++
			calls++
		}
	})
	w.h.wantNoErrors()
	if len(kinds) < 60 {
		t.Errorf("only %d outcomes of calls were seen: %v", len(kinds), kinds)
	}
	t.Logf("%d trees, %d calls, %d kinds of outcomes, %d decided differences", w.made, calls, len(kinds), len(differences))
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// sameTree walks both: names, kinds, attributes and contents of all.
func (w *twins) sameTree(t *rapid.T, mnt, ro string) {
	got, want := walkAll(mnt), walkAll(ro)
	if len(got) != len(want) {
		t.Fatalf("%d names, want %d", len(got), len(want))
	}
	for name, text := range want {
		if got[name] != text {
			t.Fatalf("%q:\n got %s\nwant %s", name, got[name], text)
		}
	}
}

// walkAll gives what there is at each path.
func walkAll(root string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := d.Type().String() + " " + statText(unix.AT_FDCWD, p, unix.AT_SYMLINK_NOFOLLOW)
		if !d.IsDir() {
			data, err := readBlocking(p)
			text += " " + bytesOf(data) + " " + errno(err)
		}
		all[strings.TrimPrefix(p, root)] = text
		return nil
	})
	all["error"] = strings.ReplaceAll(fmt.Sprint(err), root, "")
	return all
}

// statText gives the attributes that are the same on both.
func statText(dir int, p string, flags int) string {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, p, &st, flags); err != nil {
		return errno(err)
	}
	text := fmt.Sprintf("mode %o links %d owner %d:%d", st.Mode, st.Nlink, st.Uid, st.Gid)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		text += fmt.Sprintf(" size %d", st.Size)
	}
	return text
}
