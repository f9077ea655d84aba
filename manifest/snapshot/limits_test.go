package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/testwarden"
)

// watching notes the heap and the descriptors each time its error is asked.
type watching struct {
	context.Context
	t     *testing.T
	calls int
	heap  uint64
	files int
}

func (w *watching) Err() error {
	if w.calls++; w.calls%16 == 0 {
		w.look()
	}
	return nil
}

func (w *watching) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.heap = max(w.heap, m.HeapAlloc)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		w.t.Fatal(err)
	}
	w.files = max(w.files, len(fds))
}

// TestMemoryBound builds 60 MB of entries within 8 MiB, in an order that is not theirs.
func TestMemoryBound(t *testing.T) {
	const n, memory = 300_000, 8 << 20
	dir := t.TempDir()
	w := &watching{Context: context.Background(), t: t}
	runtime.GC()
	w.look()
	heap, files := w.heap, w.files
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: dir, MemoryBytes: memory})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range n {
		k := i * 7919 % n
		if err := b.Add(s3Entry(fmt.Sprintf("d%d/e%d/%d.png", k%10, k%1000, k), k)); err != nil {
			t.Fatal(err)
		}
		if i%10_000 == 0 {
			w.look()
		}
	}
	if sum, err := b.Build(w, filepath.Join(dir, "s")); err != nil || sum.Files != n {
		t.Fatalf("got %+v, %v", sum, err)
	}
	t.Logf("heap %d MiB over %d, %d descriptors over %d", (w.heap-heap)>>20, heap>>20, w.files-files, files)
	if over := w.heap - heap; over > 4*memory { // garbage doubles what is in use
		t.Errorf("got %d MiB of heap, want at most %d", over>>20, 4*memory>>20)
	}
	if over := w.files - files; over > 4 {
		t.Errorf("got %d descriptors, want at most 4", over)
	}
}

// TestDeep builds the deepest trees there can be: descriptors don't follow depth.
func TestDeep(t *testing.T) {
	entries := []manifest.Entry{
		{Path: strings.Repeat("d/", 2047) + "f", Digest: "x"},
		{Path: strings.Repeat("d/", 2046) + "f", Digest: "y"},
		{Path: strings.Repeat("d-/", 1365-1) + "f", Digest: "z"},
		{Path: strings.Repeat(strings.Repeat("n", 255)+"/", 15) + strings.Repeat("m", 255), Digest: "w"},
	}
	s, sum := build(t, snapshot.BuilderOptions{MemoryBytes: 1}, entries...)
	for _, e := range entries {
		wantEntry(t, s, e)
	}
	if want := int64(2047 + 1364 + 15); sum.Dirs != want {
		t.Errorf("got %d directories, want %d", sum.Dirs, want)
	}
	var nodes uint32
	for _, err := range s.Walk(0) {
		if err != nil {
			t.Fatal(err)
		}
		nodes++
	}
	if nodes != s.Nodes()-1 {
		t.Errorf("walked %d nodes, want %d", nodes, s.Nodes()-1)
	}
}

// TestConcurrent reads a fresh snapshot from many goroutines at once; the race
// detector judges.
func TestConcurrent(t *testing.T) {
	var entries []manifest.Entry
	for i := range 20_000 {
		entries = append(entries, s3Entry(fmt.Sprintf("d%d/%d", i%100, i), i))
	}
	s, _ := build(t, snapshot.BuilderOptions{}, entries...)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < len(entries); i += 3 {
				n, ok, err := s.Find(entries[i].Path)
				if err != nil || !ok {
					t.Errorf("find %q: %v, %v", entries[i].Path, ok, err)
					return
				}
				if e, err := s.Entry(n.Index); err != nil || !sameEntry(e, entries[i]) {
					t.Errorf("entry %q: got %+v, %v", entries[i].Path, e, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSpillFails(t *testing.T) {
	dir := t.TempDir()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: filepath.Join(dir, "missing"), MemoryBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 10_000; i++ {
		err = b.Add(s3Entry(fmt.Sprint(i), i))
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory is missing", err)
	}
	if _, err := b.Build(context.Background(), filepath.Join(dir, "s")); err == nil {
		t.Error("Build after a failed spill: no error")
	}
	wantNoFiles(t, dir)
}

// TestFullDisk fills a file system of 1 MiB, in a mount namespace of its own: with
// the spill files, then with the snapshot itself.
func TestFullDisk(t *testing.T) {
	const child = "PINFS_TEST_FULL_DISK"
	if dir := os.Getenv(child); dir != "" {
		fullDisk(t, dir)
		return
	}
	cmd := testwarden.Command(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+t.TempDir())
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in a mount namespace (run as root, or allow user namespaces): %v\n%s", err, out)
	}
}

func fullDisk(t *testing.T, dir string) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := os.MkdirTemp("/dev/shm", "pinfs-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(elsewhere)
	var entries []manifest.Entry
	for i := range 20_000 {
		entries = append(entries, s3Entry(fmt.Sprintf("dir/%d", i), i))
	}
	for name, c := range map[string]struct{ spill, out string }{"spill": {dir, elsewhere}, "output": {elsewhere, dir}} {
		o := snapshot.BuilderOptions{TempDir: c.spill, MemoryBytes: 1}
		if _, err := tryBuild(filepath.Join(c.out, "s"), o, entries...); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: got %v, want ENOSPC", name, err)
		}
		wantNoFiles(t, dir)
		wantNoFiles(t, elsewhere)
	}
}
