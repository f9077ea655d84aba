package fusefs_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/testwarden"
	"golang.org/x/sys/unix"
)

const (
	relaySize  = 16 << 20
	relayKills = 10
)

// ramp is Content whose byte at offset i is a function of i. It says so and
// stops answering at limit.
type ramp struct {
	*memory
	limit   int64
	stalled func()
}

func (r ramp) ReadAt(ctx context.Context, _ manifest.Object, p []byte, off int64) (int, error) {
	if off >= r.limit {
		r.stalled()
		<-ctx.Done()
		return 0, ctx.Err()
	}
	fillRamp(p, off)
	return len(p), nil
}

func fillRamp(p []byte, off int64) {
	for i := range p {
		p[i] = byte((off + int64(i)) * 31 >> 7)
	}
}

// mark makes an empty file that tells the test what this process does.
func mark(dir, what string) {
	_ = os.WriteFile(fmt.Sprintf("%s/%s.%d", dir, what, os.Getpid()), nil, 0o600)
}

// work is the child: a worker that serves descriptor 3 until it is killed or the
// mount ends. It keeps INIT and slots in files.
func work() error {
	dir := os.Getenv("FUSEFS_TEST_PATH")
	s, err := snapshot.Open(dir + "/snapshot")
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(dir+"/slots", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	slots, _, err := fusefs.ReplaySlots(journal, func(rec []byte) error { _, err := journal.Write(rec); return err })
	if err != nil {
		return err
	}
	init, err := os.ReadFile(dir + "/init")
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	limit, err := strconv.ParseInt(os.Getenv("FUSEFS_TEST_LIMIT"), 10, 64)
	if err != nil {
		return err
	}
	content := ramp{newMemory(), limit, func() { mark(dir, "stalled") }}
	o := fusefs.Options{Content: content, Tree: &fusefs.Tree{Snapshot: s, Project: "p", Name: "a:v0", Digest: "d", Created: created}, Slots: slots}
	if os.Getenv("FUSEFS_TEST_OLD") != "" {
		o = fusefs.OldKernel(o)
		o.Memory = os.NewFile(4, "memory")
	}
	m, err := fusefs.Attach(os.NewFile(3, "/dev/fuse"), fusefs.MountState{Dir: dir + "/mnt", Init: init}, o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/init.new", m.State().Init, 0o600); err != nil {
		return err
	}
	if err := os.Rename(dir+"/init.new", dir+"/init"); err != nil {
		return err
	}
	mark(dir, "serving")
	m.Wait()
	return nil
}

// own mounts a version of one file for workers, without serving it.
func own(t *testing.T) (conn *os.File, dir string) {
	t.Helper()
	needFuse(t)
	dir = t.TempDir()
	must(t, os.Mkdir(dir+"/mnt", 0o755))
	b, err := snapshot.NewBuilder(exact)
	must(t, err)
	defer b.Close()
	must(t, b.Add(manifest.Entry{Path: "d/f", Ref: "mem://b/f", Digest: "d", Size: relaySize}))
	_, err = b.Build(t.Context(), dir+"/snapshot")
	must(t, err)
	conn, _, err = fusefs.Connect(t.Context(), dir+"/mnt", fusefs.Options{Content: newMemory(), Tree: open(t, dir+"/snapshot", "a:v0", "d")})
	must(t, err)
	t.Cleanup(func() { _ = fusefs.Unmount(context.Background(), dir+"/mnt", true) }) // after a failure
	return conn, dir
}

// startWorker starts one that answers reads below limit, and waits until it serves.
func startWorker(t *testing.T, conn *os.File, dir string, limit int64) *exec.Cmd {
	t.Helper()
	return startWorkerWith(t, []*os.File{conn}, dir, limit)
}

func startWorkerWith(t *testing.T, files []*os.File, dir string, limit int64, env ...string) *exec.Cmd {
	t.Helper()
	cmd := testwarden.Command(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE=worker", "FUSEFS_TEST_PATH="+dir, fmt.Sprint("FUSEFS_TEST_LIMIT=", limit))
	cmd.Env = append(cmd.Env, env...)
	cmd.ExtraFiles = files
	cmd.Stderr = t.Output()
	must(t, cmd.Start())
	awaitMark(t, dir, "serving", cmd)
	return cmd
}

func awaitMark(t *testing.T, dir, what string, cmd *exec.Cmd) {
	t.Helper()
	eventually(t, what, func() bool {
		_, err := os.Stat(fmt.Sprintf("%s/%s.%d", dir, what, cmd.Process.Pid))
		return err == nil
	})
}

// The owner keeps the connection. Each worker is killed with a read under way,
// which the kernel sends again to the next.
func TestWorkersAreKilled(t *testing.T) {
	conn, dir := own(t)
	worker := startWorker(t, conn, dir, 1<<20)
	cmd, out := reader(t, "direct", dir+"/mnt/d/f")
	for kill := range int64(relayKills) {
		awaitMark(t, dir, "stalled", worker)
		must(t, worker.Process.Kill())
		_ = worker.Wait()
		worker = startWorker(t, conn, dir, (kill+2)<<20)
	}
	awaitMark(t, dir, "stalled", worker)
	must(t, worker.Process.Kill())
	_ = worker.Wait()
	worker = startWorker(t, conn, dir, relaySize)
	if err := cmd.Wait(); err != nil {
		t.Errorf("reader: %v: %s", err, out)
	}
	whole := make([]byte, relaySize)
	fillRamp(whole, 0)
	if got, want := out.String(), fmt.Sprintf("%x", sha256.Sum256(whole)); got != want {
		t.Errorf("read %q, want %s", got, want)
	}
	must(t, fusefs.Unmount(t.Context(), dir+"/mnt", false))
	must(t, worker.Wait())
	must(t, conn.Close())
}

// Without the kernel's help what a dead worker had read is answered with an error by
// the next one: nobody waits for ever.
func TestOldKernel(t *testing.T) {
	conn, dir := own(t)
	memory, err := fusefs.NewMemory()
	must(t, err)
	defer memory.Close()
	files := []*os.File{conn, memory}
	worker := startWorkerWith(t, files, dir, 1<<20, "FUSEFS_TEST_OLD=1")
	for kill := range int64(5) {
		cmd, out := reader(t, "direct", dir+"/mnt/d/f")
		awaitMark(t, dir, "stalled", worker)
		must(t, worker.Process.Kill())
		_ = worker.Wait()
		worker = startWorkerWith(t, files, dir, (kill+2)<<20, "FUSEFS_TEST_OLD=1")
		if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), syscall.EIO.Error()) {
			t.Fatalf("the reader of a dead worker: %v: %s", err, out)
		}
	}
	must(t, worker.Process.Kill())
	_ = worker.Wait()
	worker = startWorkerWith(t, files, dir, relaySize, "FUSEFS_TEST_OLD=1")
	cmd, out := reader(t, "direct", dir+"/mnt/d/f")
	if err := cmd.Wait(); err != nil {
		t.Errorf("reader: %v: %s", err, out)
	}
	must(t, fusefs.Unmount(t.Context(), dir+"/mnt", false))
	must(t, worker.Wait())
	must(t, conn.Close())
}

// A second server on the connection knows the names, and goes on with a listing
// that the first began.
func TestSecondServer(t *testing.T) {
	s, mem := museum(t)
	for i := range 500 {
		s.set("vision", fusefs.Listed{Name: fmt.Sprintf("mnist:alias%d", i), Target: "mnist:v0"})
	}
	needFuse(t)
	o := fusefs.Options{Content: mem, Names: s, Slots: fusefs.NewSlots(nil)}
	conn, dir, err := fusefs.Connect(t.Context(), t.TempDir(), o)
	must(t, err)
	first, err := fusefs.Attach(conn, fusefs.MountState{Dir: dir}, o)
	must(t, err)
	must(t, pollOnce(dir))
	before := inode(t, dir+"/vision/mnist:v0/train/0")
	fd, err := unix.Open(dir+"/vision", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	begun := getdents(t, fd, make([]byte, 4096))
	second, err := fusefs.Attach(conn, first.State(), o) // both serve now
	must(t, err)
	rest := names(t, fd, nil)
	if got := len(begun) + len(rest); got != 2+3+500 { // "." and ".." are in begun
		t.Errorf("listed %d names, want %d", got, 2+3+500)
	}
	for range 20 {
		if got, err := os.ReadFile(dir + "/vision/mnist:latest/NEWS"); string(got) != "new" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if after := inode(t, dir+"/vision/mnist:v0/train/0"); after != before {
		t.Errorf("id %d, was %d", after, before)
	}
	unix.Close(fd)
	must(t, fusefs.Unmount(t.Context(), dir, false))
	first.Wait()
	second.Wait()
	must(t, conn.Close())
}

// TestBuffersArePresent: the buffers for requests are in memory before the kernel fills
// them; see keepPresent for what would fail else.
func TestBuffersArePresent(t *testing.T) {
	const size = 1 << 20
	fresh, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(t, err)
	defer func() { must(t, unix.Munmap(fresh)) }()
	made, ok := fusefs.KeepPresent(func() any { return fresh })
	if !ok || len(made.([]byte)) != size {
		t.Fatal("go-fuse has no such pool any more")
	}
	resident := make([]byte, size/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&fresh[0])), size, uintptr(unsafe.Pointer(&resident[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for page := range 4 {
		if resident[page]&1 == 0 {
			t.Errorf("page %d is not in memory", page)
		}
	}
}
