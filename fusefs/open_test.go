package fusefs_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// files is memory that has a file of each object, which it lends as long as lends
// says so.
type files struct {
	*memory
	dir      string
	lends    func() bool
	out      atomic.Int64 // loans that are not closed
	inUse    atomic.Int64
	lent     atomic.Int64 // so far
	prepared atomic.Int64

	mu    sync.Mutex
	loans map[string]*loan // the last one of each reference
}

var _ fusefs.Lender = (*files)(nil)

func newFiles(dir string) *files {
	return &files{memory: newMemory(), dir: dir, lends: func() bool { return true }, loans: map[string]*loan{}}
}

func (s *files) path(ref string) string { return filepath.Join(s.dir, filepath.Base(ref)) }

// place writes the file of e, whose content this is.
func (s *files) place(t testing.TB, path string, data []byte) manifest.Entry {
	t.Helper()
	e := s.put(path, data)
	must(t, os.WriteFile(s.path(e.Ref), data, 0o600))
	return e
}

func (s *files) Lend(obj manifest.Object, revoked func()) (fusefs.Loan, *os.File) {
	if !s.lends() {
		return nil, nil
	}
	f, err := os.Open(s.path(obj.Ref))
	if err != nil {
		return nil, nil
	}
	l := &loan{s: s, revoked: revoked, used: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loans[obj.Ref] = l
	s.out.Add(1)
	s.inUse.Add(1)
	s.lent.Add(1)
	return l, f
}

func (s *files) Prepare(manifest.Object) { s.prepared.Add(1) }

func (s *files) Probe() (*os.File, error) { return os.CreateTemp(s.dir, "probe") }

// loan checks that it is used as the interface says.
type loan struct {
	s       *files
	revoked func()
	dead    atomic.Bool

	mu           sync.Mutex
	used, closed bool
}

func (l *loan) change(to bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used == to || l.closed {
		panic("loan taken or put to rest twice, or after its end")
	}
	l.used = to
}

func (l *loan) Take() bool {
	if l.dead.Load() {
		return false
	}
	l.change(true)
	l.s.inUse.Add(1)
	return true
}

func (l *loan) Rest() {
	l.change(false)
	l.s.inUse.Add(-1)
}

func (l *loan) Ready(context.Context) error {
	if l.dead.Load() {
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: "open"}
	}
	return nil
}

func (l *loan) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		panic("loan closed twice")
	}
	if l.used {
		l.s.inUse.Add(-1)
	}
	l.closed = true
	l.s.out.Add(-1)
}

// revoke ends the loan of ref; its file is unlinked.
func (s *files) revoke(t testing.TB, ref string) {
	t.Helper()
	s.mu.Lock()
	l := s.loans[ref]
	s.mu.Unlock()
	must(t, os.Remove(s.path(ref)))
	l.dead.Store(true)
	l.revoked()
}

// passthrough mounts and makes sure that the kernel takes part.
func passthrough(t testing.TB, s *files, entries ...manifest.Entry) *fusefs.Mounted {
	t.Helper()
	m := mount(t, fusefs.Options{Content: s, Tree: build(t, exact, "", entries...), Open: fusefs.OpenPassthrough})
	if mode, why := m.Open(); mode != fusefs.OpenPassthrough {
		t.Fatalf("opens are %s: %s; these tests need Linux 6.9 and root", mode, why)
	}
	return m
}

// openRaw opens without the runtime's poller, see pollOnce.
func openRaw(t testing.TB, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	return os.NewFile(uintptr(fd), path)
}

// tick waits for what the kernel does behind a close.
func tick(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// All ways to read give the same bytes in both modes, and in passthrough none of
// them asks for any.
func TestPassthroughReads(t *testing.T) {
	s := newFiles(t.TempDir())
	data := random(1, 5<<20+123)
	s.place(t, "lent", data)
	m := passthrough(t, s, s.place(t, "dir/lent", data), s.put("kept", data))
	want := fmt.Sprintf("%x", sha256.Sum256(data))
	for _, how := range []string{"buffered", "direct", "mapped", "sent", "spliced"} {
		for _, name := range []string{"dir/lent", "kept"} {
			before := m.Requests().Read
			cmd, out := reader(t, how, m.Dir()+"/"+name)
			must(t, cmd.Wait())
			if out.String() != want {
				t.Errorf("%s %s: got %s, want %s", how, name, out, want)
			}
			if n := m.Requests().Read - before; name == "dir/lent" && n > 0 {
				t.Errorf("%s %s: %d reads came here", how, name, n)
			}
		}
	}
	if m.Requests().Read == 0 {
		t.Error("no read of the ordinary file came here: the count shows nothing")
	}
	if got := s.lent.Load(); got != 1 {
		t.Errorf("lent %d times, want once: opens of one file share its number", got)
	}
}

// The mode of the first open stays until the last close, and then may change.
func TestModeSticks(t *testing.T) {
	s := newFiles(t.TempDir())
	data := random(1, 200_000)
	var yes atomic.Bool
	s.lends = yes.Load
	m := passthrough(t, s, s.place(t, "f", data))
	path := m.Dir() + "/f"
	first := openRaw(t, path)
	for _, handle := range []uint64{0, 1, 1 << 40} { // of a server before this one
		fusefs.ReleaseForeign(m, inode(t, path), handle)
	}
	yes.Store(true)
	second := openRaw(t, path)
	if s.lent.Load() != 0 {
		t.Error("lent while an ordinary handle was open")
	}
	must(t, errors.Join(first.Close(), second.Close()))
	tick(t, "the last ordinary handle is released", func() bool { return s.prepared.Load() == 1 })
	first = openRaw(t, path)
	yes.Store(false)
	second = openRaw(t, path)
	if s.lent.Load() != 1 || s.inUse.Load() != 1 {
		t.Errorf("lent %d times, %d in use; want one loan for both handles", s.lent.Load(), s.inUse.Load())
	}
	for _, f := range []*os.File{first, second} {
		got, err := io.ReadAll(f)
		must(t, err)
		if string(got) != string(data) {
			t.Error("other bytes through passthrough")
		}
	}
	must(t, errors.Join(first.Close(), second.Close()))
	tick(t, "the loan rests", func() bool { return s.inUse.Load() == 0 })
	if got := m.Requests().Read; got != 0 {
		t.Errorf("%d reads came here", got)
	}
}

// Bytes that were dropped are not given to a new reader while an old one has them
// open; after that all is as before.
func TestRevokedLoan(t *testing.T) {
	s := newFiles(t.TempDir())
	wrong, right := random(1, 200_000), random(2, 200_000)
	e, other := s.place(t, "f", wrong), s.place(t, "g", wrong)
	m := passthrough(t, s, e, other)
	old := openRaw(t, m.Dir()+"/f")
	s.revoke(t, e.Ref)
	m.Distrust(t.Context(), map[manifest.Object]error{e.Object(): &manifest.Error{Kind: manifest.KindCorrupt}})
	if fd, err := unix.Open(m.Dir()+"/f", unix.O_RDONLY, 0); !errors.Is(err, unix.EIO) {
		t.Fatalf("open beside a handle on dropped bytes: %d, %v; want EIO", fd, err)
	}
	if got, err := io.ReadAll(old); err != nil || string(got) != string(wrong) {
		t.Errorf("the old handle: %v", err)
	}
	must(t, old.Close())
	tick(t, "the dropped file is given back", func() bool { return s.out.Load() == 0 })
	s.place(t, "f", right)
	f := openRaw(t, m.Dir()+"/f")
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != string(right) {
		t.Errorf("the new handle: %v", err)
	}
	// One that nobody has open is given back at once.
	must(t, openRaw(t, m.Dir()+"/g").Close())
	tick(t, "g is idle", func() bool { return s.inUse.Load() == 1 })
	s.revoke(t, other.Ref)
	tick(t, "the idle file is given back", func() bool { return s.out.Load() == 1 })
}

// Files that nothing has open stay registered, a bounded number of them, and go
// with the mount.
func TestIdleFilesAreBounded(t *testing.T) {
	s := newFiles(t.TempDir())
	var entries []manifest.Entry
	for i := range 300 {
		entries = append(entries, s.place(t, strconv.Itoa(i), []byte("content "+strconv.Itoa(i))))
	}
	m := passthrough(t, s, entries...)
	descriptors := countDescriptors(t)
	for _, e := range entries {
		for range 2 {
			f := openRaw(t, m.Dir()+"/"+e.Path)
			got, err := io.ReadAll(f)
			must(t, errors.Join(err, f.Close()))
			if want := "content " + e.Path; string(got) != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	tick(t, "all rest", func() bool { return s.inUse.Load() == 0 })
	if out, lent := s.out.Load(), s.lent.Load(); out > 256 || lent != 300 {
		t.Errorf("%d files are registered and %d were; want at most 256 and 300", out, lent)
	}
	if n := countDescriptors(t); n > descriptors+4 {
		t.Errorf("%d descriptors, %d before", n, descriptors)
	}
	unmount(t, m)
	if out := s.out.Load(); out != 0 {
		t.Errorf("%d files are still lent after the unmount", out)
	}
}

func countDescriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

// Many threads open files whose mode keeps changing: no open fails, no byte differs.
func TestOpenStorm(t *testing.T) {
	s := newFiles(t.TempDir())
	var entries []manifest.Entry
	for i := range 4 {
		entries = append(entries, s.place(t, strconv.Itoa(i), random(uint64(i), 100_000)))
	}
	twin := entries[0] // the same object under another name
	twin.Path = "twin"
	entries = append(entries, twin)
	var n atomic.Int64
	s.lends = func() bool { return n.Add(1)%3 != 0 }
	m := passthrough(t, s, entries...)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for j := range 40 {
				e := entries[(i+j)%len(entries)]
				if err := readWhole(m.Dir()+"/"+e.Path, s.data[e.Ref]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	tick(t, "all handles are released", func() bool { return s.inUse.Load() == 0 })
	if s.lent.Load() == 0 || s.prepared.Load() == 0 {
		t.Errorf("lent %d times, ordinary %d times: not both modes", s.lent.Load(), s.prepared.Load())
	}
}

func readWhole(path string, want []byte) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	got, err := io.ReadAll(f)
	if err == nil && string(got) != string(want) {
		err = fmt.Errorf("%s: other bytes", path)
	}
	return err
}

// Where there is no passthrough the mount is stateless and says why.
func TestNoPassthrough(t *testing.T) {
	s := newFiles(t.TempDir())
	data := random(1, 100_000)
	tree := build(t, exact, "", s.place(t, "f", data))
	stacked := newFiles(overlay(t))
	stacked.memory = s.memory
	for name, c := range map[string]struct {
		content fusefs.Content
		open    fusefs.OpenMode
		why     string
	}{
		"not asked":  {s, "", ""},
		"no files":   {s.memory, fusefs.OpenPassthrough, "nothing here has files to pass through"},
		"overlay fs": {stacked, fusefs.OpenPassthrough, "the cache is on a file system that is stacked on others (overlayfs): give it a volume"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mount(t, fusefs.Options{Content: c.content, Tree: tree, Open: c.open})
			if mode, why := m.Open(); mode != fusefs.OpenStateless || why != c.why {
				t.Errorf("got %s, %q; want %q", mode, why, c.why)
			}
			for range 2 {
				must(t, readWhole(m.Dir()+"/f", data))
			}
			if n := m.Requests().Open; n > 2 {
				t.Errorf("%d opens and closes came here, want those of the first", n)
			}
		})
	}
}

// overlay mounts a file system on top of another, and gives a directory in it.
func overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"low", "up", "work", "all"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	all := filepath.Join(dir, "all")
	must(t, unix.Mount("overlay", all, "overlay", 0, "lowerdir="+dir+"/low,upperdir="+dir+"/up,workdir="+dir+"/work"))
	t.Cleanup(func() { must(t, unix.Unmount(all, unix.MNT_DETACH)) })
	return all
}

// readSent reads through sendfile, readSpliced through a pipe.
func readSent() error { return copyOut(unix.Sendfile) }

func readSpliced() error {
	return copyOut(func(out, in int, off *int64, n int) (int, error) {
		var pipe [2]int
		if err := unix.Pipe(pipe[:]); err != nil {
			return 0, err
		}
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		got, err := unix.Splice(in, off, pipe[1], nil, min(n, 1<<16), 0)
		for rest := got; rest > 0 && err == nil; {
			var m int64
			m, err = unix.Splice(pipe[0], nil, out, nil, int(rest), 0)
			rest -= m
		}
		return int(got), err
	})
}

// copyOut copies the file with move to one on disk, and prints its digest.
func copyOut(move func(out, in int, off *int64, n int) (int, error)) error {
	in, err := os.Open(os.Getenv("FUSEFS_TEST_PATH"))
	if err != nil {
		return err
	}
	out, err := os.CreateTemp("", "copy")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	for off := int64(0); ; {
		n, err := move(int(out.Fd()), int(in.Fd()), &off, 1<<20)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	h := sha256.New()
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(h, out)
	fmt.Printf("%x", h.Sum(nil))
	return err
}
