package fusefs_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"golang.org/x/sys/unix"
)

// relay is what the owner and the workers of TestWorkersAreKilled share.
const relaySize = 256 << 20

// ramp is Content whose byte at offset i is a function of i; it takes a while.
type ramp struct{ *memory }

func (ramp) ReadAt(_ context.Context, _ manifest.Object, p []byte, off int64) (int, error) {
	time.Sleep(2 * time.Millisecond)
	fillRamp(p, off)
	return len(p), nil
}

func fillRamp(p []byte, off int64) {
	for i := range p {
		p[i] = byte((off + int64(i)) * 31 >> 7)
	}
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
	m, err := fusefs.Attach(context.Background(), os.NewFile(3, "/dev/fuse"), fusefs.MountState{Dir: dir + "/mnt", Init: init},
		fusefs.Options{Content: ramp{newMemory()}, Tree: &fusefs.Tree{Snapshot: s, Project: "p", Name: "a:v0", Digest: "d", Created: created}, Slots: slots})
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/init.new", m.State().Init, 0o600); err != nil {
		return err
	}
	if err := os.Rename(dir+"/init.new", dir+"/init"); err != nil {
		return err
	}
	if err := os.WriteFile(fmt.Sprintf("%s/serving.%d", dir, os.Getpid()), nil, 0o600); err != nil {
		return err
	}
	m.Wait()
	return nil
}

// startWorker starts one and waits until it serves.
func startWorker(t *testing.T, conn *os.File, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE=worker", "FUSEFS_TEST_PATH="+dir)
	cmd.ExtraFiles = []*os.File{conn}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	eventually(t, "worker serves", func() bool {
		_, err := os.Stat(fmt.Sprintf("%s/serving.%d", dir, cmd.Process.Pid))
		return err == nil
	})
	return cmd
}

// The owner keeps the connection; workers are killed one after the other while a
// file is read.
func TestWorkersAreKilled(t *testing.T) {
	needFuse(t)
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/mnt", 0o755))
	b, err := snapshot.NewBuilder(exact)
	must(t, err)
	defer b.Close()
	must(t, b.Add(manifest.Entry{Path: "d/f", Ref: "mem://b/f", Digest: "d", Size: relaySize}))
	_, err = b.Build(t.Context(), dir+"/snapshot")
	must(t, err)
	mem := newMemory()
	conn, _, err := fusefs.Connect(t.Context(), dir+"/mnt", fusefs.Options{Content: mem, Tree: open(t, dir+"/snapshot", "a:v0", "d")})
	must(t, err)
	worker := startWorker(t, conn, dir)
	cmd, out := reader(t, "buffered", dir+"/mnt/d/f")
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	kills := 0
	for alive := true; alive; {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("reader: %v: %s", err, out)
			}
			alive = false
		case <-time.After(30 * time.Millisecond):
			must(t, worker.Process.Kill())
			_ = worker.Wait()
			worker = startWorker(t, conn, dir)
			kills++
		}
	}
	want := sha256.New()
	for off, p := int64(0), make([]byte, 1<<20); off < relaySize; off += int64(len(p)) {
		fillRamp(p, off)
		want.Write(p)
	}
	if got := out.String(); got != fmt.Sprintf("%x", want.Sum(nil)) {
		t.Errorf("read %q after %d kills", got, kills)
	}
	if kills < 3 {
		t.Errorf("only %d kills: the test shows nothing", kills)
	}
	if _, err := os.Stat(filepath.Join(dir, "mnt/d/f")); err != nil {
		t.Errorf("after %d kills: %v", kills, err)
	}
	t.Logf("%d kills", kills)
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
	first, err := fusefs.Attach(t.Context(), conn, fusefs.MountState{Dir: dir}, o)
	must(t, err)
	before := inode(t, dir+"/vision/mnist:v0/train/0")
	fd, err := unix.Open(dir+"/vision", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	begun := getdents(t, fd, make([]byte, 4096))
	second, err := fusefs.Attach(t.Context(), conn, first.State(), o) // both serve now
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
