package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/testwarden"
)

// takenOver is a mount that readers verify while its worker is replaced.
type takenOver struct {
	t      *testing.T
	h      *host
	mnt    string
	umount func()
	want   map[string][]byte
	stop   chan struct{}
	wg     sync.WaitGroup
	calls  atomic.Int64 // of readers, that ended well
}

// takeoverTree are files of all sizes on S3, behind a network of 1 ms.
func takeoverTree(t *testing.T, name string) (*host, map[string][]byte) {
	t.Helper()
	h, p := newHost(t).with("PINFS_CACHE_SIZE=96M").behind() // smaller than the data: it evicts too
	p.Inject(servers.Fault{Delay: time.Millisecond})
	bucket := newBucket(t, true)
	want, objects := map[string][]byte{}, map[string][]byte{}
	for i := range 40 {
		file := fmt.Sprintf("dir %d/file é%02d", i%3, i)
		want[file] = randomBytes([]int{0, 1, 3000, 70_000, 400_000, 5<<20 + 1}[i%6], byte(i))
		objects["d/"+file] = want[file]
	}
	want["large"] = randomBytes(100<<20, 7)
	objects["d/large"] = want["large"]
	putAll(t, bucket, objects)
	h.put(name, "s3://"+bucket+"/d")
	return h, want
}

// begin starts readers of all kinds.
func (k *takenOver) begin() {
	k.stop = make(chan struct{})
	for _, read := range []func(*rand.Rand) error{k.whole, k.whole, k.random, k.mapped, k.walk} {
		seed := rand.Uint64()
		k.wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-k.stop:
					return
				default:
				}
				if err := read(random); err != nil {
					log, _ := os.ReadFile(filepath.Join(k.h.dir, "cache", "daemon.log"))
					k.t.Errorf("a reader failed: %v; the daemon's log ends: %s", err, tail(string(log), 3000))
					return
				}
				k.calls.Add(1)
			}
		})
	}
}

// end stops the readers; each must have done something.
func (k *takenOver) end() {
	close(k.stop)
	k.wg.Wait()
	if k.calls.Load() < 20 {
		k.t.Errorf("only %d calls of readers ended: the test says nothing", k.calls.Load())
	}
}

// pick gives a file that is not empty.
func (k *takenOver) pick(random *rand.Rand) (path string, data []byte) {
	skip := random.IntN(len(k.want))
	for name, data := range k.want {
		if skip--; skip < 0 && len(data) > 0 {
			return filepath.Join(k.mnt, name), data
		}
	}
	return filepath.Join(k.mnt, "large"), k.want["large"]
}

// whole reads a file to its end.
func (k *takenOver) whole(random *rand.Rand) error {
	path, data := k.pick(random)
	got, err := readBlocking(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case !bytes.Equal(got, data):
		return fmt.Errorf("%s: wrong bytes", path)
	}
	return nil
}

// random reads pieces of a file, and keeps it open meanwhile.
func (k *takenOver) random(random *rand.Rand) error {
	path, data := k.pick(random)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 150_000)
	for range 40 {
		off := random.IntN(len(data))
		n, err := unix.Pread(fd, buf[:1+random.IntN(len(buf))], int64(off))
		if err != nil {
			return &fs.PathError{Op: "pread", Path: path, Err: err}
		}
		if n == 0 || !bytes.Equal(buf[:n], data[off:off+n]) {
			return fmt.Errorf("%s: %d wrong bytes at %d", path, n, off)
		}
	}
	return nil
}

// mapped has another process map a file: a page fault of this one would stop its
// collector, and who waits for it.
func (k *takenOver) mapped(random *rand.Rand) error {
	path, data := k.pick(random)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs bytes.Buffer
	cmd := testwarden.Command(ctx, "python3", "-c", "import mmap,sys\nf=open(sys.argv[1],'rb')\nsys.stdout.buffer.write(mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ))", path)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("mmap %s: %w: %s", path, err, errs.String())
	}
	if !bytes.Equal(out, data) {
		return fmt.Errorf("mmap %s: wrong bytes", path)
	}
	return nil
}

// walk lists everything, with attributes.
func (k *takenOver) walk(*rand.Rand) error {
	seen := 0
	err := filepath.WalkDir(k.mnt, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(k.mnt, path)
		if data, ok := k.want[name]; !ok || info.Size() != int64(len(data)) {
			return fmt.Errorf("%s: %d bytes, want %d", name, info.Size(), len(data))
		}
		seen++
		return nil
	})
	if err == nil && seen != len(k.want) {
		err = fmt.Errorf("the walk saw %d files, want %d", seen, len(k.want))
	}
	return err
}

// another waits until another worker than was answers, and gives its pid.
func (k *takenOver) another(was int) int {
	k.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if pid := k.h.status().Daemon.PID; pid != 0 && pid != was {
			return pid
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(k.h.dir, "cache", "daemon.log"))
			k.t.Fatalf("no other worker than %d after a minute; the log ends: %s", was, tail(string(log), 3000))
		}
	}
}

// TestWorkerKilled kills the worker again and again under readers of all kinds: none
// of their calls fails, none gets a wrong byte, and nothing is left behind.
func TestWorkerKilled(t *testing.T) {
	for _, open := range []string{"stateless", "passthrough"} {
		t.Run(open, func(t *testing.T) {
			h, want := takeoverTree(t, "takeover/"+open)
			k := &takenOver{t: t, h: h, want: want}
			k.mnt, k.umount = h.mountUntil("--open="+open, "takeover/"+open+":v0")
			first := h.status().Daemon.PID
			owner := parentOf(t, first)
			descriptors := openFiles(t, owner)
			k.begin()
			pid := first
			kills := rounds(20, 500)
			for range kills {
				time.Sleep(time.Duration(rand.Int64N(int64(250 * time.Millisecond))))
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
				pid = k.another(pid)
			}
			k.end()
			if pid == first || parentOf(t, pid) != owner {
				t.Errorf("worker %d of %d, at first %d of %d", pid, parentOf(t, pid), first, owner)
			}
			if now := openFiles(t, owner); now != descriptors {
				t.Errorf("the owner has %d descriptors, %d before the kills", now, descriptors)
			}
			wantTree(t, k.mnt, want)
			k.umount()
			h.waitNoDaemon()
			waitEnd(t, owner)
			t.Logf("%d kills, %d calls of readers", kills, k.calls.Load())
		})
	}
}

// TestUpgrade puts another build under a mount, a few times, while it is read.
func TestUpgrade(t *testing.T) {
	h, want := takeoverTree(t, "takeover/upgrade")
	other := filepath.Join(t.TempDir(), "pinfs-next")
	build := testwarden.Command(t.Context(), "go", "build", "-o", other, "-ldflags", "-X main.version=next", "../cmd/pinfs")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k := &takenOver{t: t, h: h, want: want, mnt: h.mount("takeover/upgrade:v0")}
	held, err := os.Open(filepath.Join(k.mnt, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	k.begin()
	programs := []string{other, shared.bin}
	for i := range rounds(4, 20) {
		was := h.status().Daemon
		cmd := h.command(t.Context(), "upgrade")
		cmd.Path, cmd.Args[0] = programs[i%2], programs[i%2]
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("upgrade: %v\n%s", err, out)
		}
		is := h.status().Daemon
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", is.PID))
		if err != nil || exe != programs[i%2] || is.PID == was.PID {
			t.Errorf("after an upgrade to %s: pid %d runs %s, %v", programs[i%2], is.PID, exe, err)
		}
	}
	k.end()
	got, err := io.ReadAll(held) // it was open all the time
	if err != nil || !bytes.Equal(got, want["large"]) {
		t.Errorf("a file that was open: %d bytes, %v", len(got), err)
	}
}

// parentOf gives the process that started pid.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	parent := statParent(fmt.Sprintf("/proc/%d/stat", pid))
	if parent == 0 {
		t.Fatalf("process %d is gone", pid)
	}
	return parent
}

// openFiles counts the descriptors of a process.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// waitEnd waits until a process is gone.
func waitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// TestNamesOutliveTheirWorker: a mount of a project goes on with its names, the files
// that are open, and what unpinned references were found to be when they were first
// looked at, whatever happened to them and to the registry since.
func TestNamesOutliveTheirWorker(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "pinned")
	h.put("names/pinned", dir)
	h.put("names/later", "--no-checksum", dir)
	mnt := h.mount("names")
	wantTree(t, filepath.Join(mnt, "later:v0"), map[string][]byte{"a": []byte("pinned")})
	before := inodesBelow(t, mnt)
	held, err := os.Open(filepath.Join(mnt, "pinned:v0", "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	k := &takenOver{t: t, h: h}
	pid := h.status().Daemon.PID
	write("b", "it came later")
	for range 3 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.NewSectionReader(held, 0, 100)); err != nil || string(got) != "pinned" {
			t.Errorf("a file that was open: %q, %v", got, err)
		}
		wantTree(t, filepath.Join(mnt, "later:v0"), map[string][]byte{"a": []byte("pinned")})
		if to, err := os.Readlink(filepath.Join(mnt, "pinned:latest")); err != nil || to != "pinned:v0" {
			t.Errorf("an alias: %q, %v", to, err)
		}
		if now := inodesBelow(t, mnt); !maps.Equal(now, before) {
			t.Errorf("inodes %v, before the kill %v", now, before)
		}
		pid = k.another(pid)
	}
	h.put("names/pinned", dir) // another version shows
	wantTree(t, filepath.Join(mnt, "pinned:v1"), map[string][]byte{"a": []byte("pinned"), "b": []byte("it came later")})
}

// inodesBelow gives the inode of each name below dir.
func inodesBelow(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = info.Sys().(*syscall.Stat_t).Ino
		}
		return err
	})
	if err != nil || len(all) < 4 {
		t.Fatalf("%d names, %v", len(all), err)
	}
	return all
}

// TestUnmountedWhileNobodyServes: umount works between two workers, and nothing is left.
func TestUnmountedWhileNobodyServes(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.put("gone/f", file)
	for range 3 {
		mnt, _ := h.mountUntil("gone/f:v0")
		pid := h.status().Daemon.PID
		owner := parentOf(t, pid)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := unix.Unmount(mnt, 0); err != nil {
			t.Fatal(err)
		}
		h.waitNoDaemon()
		waitEnd(t, owner)
	}
}

// TestNothingServes: where daemons can't start any more reads fail, and do not wait for
// ever; who can start again goes on.
func TestNothingServes(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, randomBytes(4<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	h.put("broken/f", file)
	mnt, umount := h.mountUntil("broken/f:v0")
	pid := h.status().Daemon.PID
	owner := parentOf(t, pid)
	objects := filepath.Join(h.dir, "cache", "objects")
	if err := errors.Join(os.Rename(objects, objects+"-away"), os.WriteFile(objects, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := readBlocking(filepath.Join(mnt, "f")); !errors.Is(err, syscall.EIO) {
		t.Errorf("a read that nobody can answer: %v, want EIO", err)
	}
	if list, err := os.ReadDir(mnt); err != nil || len(list) != 1 {
		t.Errorf("names: %v, %v", list, err)
	}
	if err := errors.Join(os.Remove(objects), os.Rename(objects+"-away", objects)); err != nil {
		t.Fatal(err)
	}
	for _, child := range childrenOf(t, owner) {
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readBlocking(filepath.Join(mnt, "f")); err != nil || !bytes.Equal(got, randomBytes(4<<20, 1)) {
		t.Errorf("after that: %d bytes, %v", len(got), err)
	}
	umount()
	waitEnd(t, owner)
}

// childrenOf lists the processes that pid started.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			t.Fatal(err)
		}
		if statParent(stat) == pid {
			all = append(all, child)
		}
	}
	return all
}

// statParent is the parent that /proc/PID/stat names; 0 when the process is gone.
func statParent(stat string) (parent int) {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	_, _ = fmt.Sscanf(string(text[bytes.LastIndexByte(text, ')')+1:]), " %c %d", new(rune), &parent)
	return parent
}
