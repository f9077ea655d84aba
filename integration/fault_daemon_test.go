package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/testwarden"
)

// child is a program that reads a file of a mount. What might hang is read by
// children: they can be left behind, threads of the test can't.
type child struct {
	*running
	path string
}

// sum starts sha256sum of a file.
func (f *faulty) sum(name string) *child {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*readDeadline)
	path := filepath.Join(f.mnt, name)
	r := &running{t: f.t, cmd: testwarden.Command(ctx, "sha256sum", path), description: name}
	f.t.Cleanup(cancel)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return &child{r, path}
}

// waits tells whether the child has not ended.
func (c *child) waits() bool { return alive(c.cmd.Process.Pid) }

// wantSum waits for a child that read what was recorded.
func (f *faulty) wantSum(c *child) {
	f.t.Helper()
	got := c.end()
	if want := fmt.Sprintf("%x", sha256.Sum256(f.objects[c.description])); got.code != 0 || !strings.HasPrefix(got.stdout, want) {
		f.t.Errorf("%s: exit %d: %s%s, want %s", c.description, got.code, got.stdout, got.stderr, want)
	}
}

// TestStoppedDaemon: while the daemon does not run, for seconds here and for five
// minutes in make torture, readers wait; then they go on. Asked meanwhile, status
// does not hang for ever.
func TestStoppedDaemon(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	f := faultyOn(h, p, true, map[string][]byte{"cached": randomBytes(300_000, 1), "small": randomBytes(5000, 2), "large": randomBytes(24<<20, 3)})
	f.wantRight("cached")
	pid := h.status().Daemon.PID
	p.Inject(servers.Fault{Match: getOf("/d/large"), Rate: 8 << 20})
	readers := []*child{f.sum("large")}
	f.fetches(1 << 20)
	forgetPages(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	for _, name := range []string{"cached", "small", "small"} {
		readers = append(readers, f.sum(name))
	}
	asked := h.start("status")
	if torture() {
		wantOneLine(t, asked.end(), 7, "no answer") // after 30 s
		asked = h.start("status")
	}
	time.Sleep(lasting(2*time.Second, 5*time.Minute-30*time.Second))
	for _, r := range readers {
		if !r.waits() {
			t.Errorf("%s: the reader has not waited", r.description)
		}
	}
	if !torture() && !alive(asked.cmd.Process.Pid) {
		t.Error("status has an answer from a daemon that is stopped")
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		f.wantSum(r)
	}
	if r := asked.end(); !torture() && r.code != 0 {
		t.Errorf("status, once it goes on: exit %d: %s", r.code, r.stderr)
	}
	f.wantNoErrors()
	if got := h.status().Daemon.PID; got != pid {
		t.Errorf("the daemon is %d now, was %d", got, pid)
	}
}

// TestFewDescriptors: a daemon that may have 64 descriptors is slower, never wrong:
// sockets, cached files and clients of its socket share them.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	h.enter = []string{"sh", "-c", `ulimit -n 64 && exec "$@"`, "sh"}
	names, objects := smallObjects("file", 80)
	for i, name := range names {
		objects[name] = randomBytes([]int{3000, 70_000, 200_000, 1 << 20}[i%4], byte(i))
	}
	f := faultyOn(h, p, true, objects)
	if got := limitOf(t, h.status().Daemon.PID); got != 64 {
		t.Fatalf("the daemon may have %d descriptors", got)
	}
	p.Inject(servers.Fault{Match: getOf(""), Delay: 20 * time.Millisecond}) // so that many are asked for at once
	for range 2 {
		shuffled := append([]string{}, names...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		f.readTogether(shuffled)
		forgetPages(t)
	}
	f.wantNoErrors()
	if n := h.logged("cache disk fails"); n > 0 {
		t.Errorf("the log takes the want of descriptors for a bad disk, %d times", n)
	}
}

// limitOf gives how many descriptors a process may have.
func limitOf(t *testing.T, pid int) int {
	t.Helper()
	text := string(read(t, fmt.Sprintf("/proc/%d/limits", pid)))
	_, rest, _ := strings.Cut(text, "Max open files")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memoryGroup is a control group that limits the memory of what is in it.
type memoryGroup struct{ dir, killed string }

// newMemoryGroup makes one, of version 1 or 2.
func newMemoryGroup(t *testing.T, limit int64) memoryGroup {
	t.Helper()
	name, dir, file, events := "pinfs-"+strings.ToLower(filepath.Base(t.Name()))+"-"+itoa(os.Getpid()), "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	if _, err := os.Stat(dir); err != nil {
		dir, file, events = "/sys/fs/cgroup", "memory.max", "memory.events"
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0)
	}
	g := memoryGroup{filepath.Join(dir, name), filepath.Join(dir, name, events)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatalf("make a control group: %v; the test needs root and a writable /sys/fs/cgroup", err)
	}
	t.Cleanup(func() {
		eventually(t, "the control group is empty", func() bool { return os.Remove(g.dir) == nil })
	})
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		t.Fatal(err)
	}
	return g
}

// kills counts the processes that were killed for want of memory.
func (g memoryGroup) kills(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(string(read(t, g.killed))) {
		if word, n, _ := strings.Cut(strings.TrimSpace(line), " "); word == "oom_kill" {
			kills, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return kills
		}
	}
	t.Fatalf("%s does not count kills", g.killed)
	return 0
}

// TestLittleMemory: in a control group of 256 MiB the daemon stays within it while
// 24 readers take much more than that through it.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	const limit = 256 << 20
	group := newMemoryGroup(t, limit)
	h, p := newHost(t).behind()
	h.enter = []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group.dir}
	objects := map[string][]byte{}
	for i := range 6 {
		objects[fmt.Sprintf("large-%d", i)] = randomBytes(40<<20+i, byte(i))
	}
	f := faultyOn(h, p, true, objects)
	pid := h.status().Daemon.PID
	g := errgroup.Group{}
	for range 24 {
		g.Go(func() error { return f.readAtRandom(40) })
	}
	for name := range objects {
		g.Go(func() error {
			got, err := readBlocking(filepath.Join(f.mnt, name))
			if err == nil && !bytes.Equal(got, objects[name]) {
				err = fmt.Errorf("%s: %d wrong bytes", name, len(got))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	f.wantNoErrors()
	if got, killed := h.status().Daemon.PID, group.kills(t); got != pid || killed != 0 {
		t.Errorf("the daemon is %d, was %d; %d processes were killed for want of memory", got, pid, killed)
	}
}

// readAtRandom reads n pieces of any object, somewhere.
func (f *faulty) readAtRandom(n int) error {
	names := make([]string, 0, len(f.objects))
	for name := range f.objects {
		names = append(names, name)
	}
	for range n {
		name := names[rand.IntN(len(names))]
		if err := f.readPiece(name, rand.IntN(len(f.objects[name])+1), 1+rand.IntN(1<<20)); err != nil {
			return err
		}
	}
	return nil
}

// readPiece opens a file and reads once.
func (f *faulty) readPiece(name string, off, n int) error {
	fd, err := syscall.Open(filepath.Join(f.mnt, name), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer syscall.Close(fd)
	buf := make([]byte, n)
	want := f.objects[name][off:min(off+n, len(f.objects[name]))]
	got, err := 0, error(nil)
	for more := -1; err == nil && more != 0 && got < n; { // what fails in the middle gives less at first
		if more, err = syscall.Pread(fd, buf[got:], int64(off+got)); err == nil {
			got += more
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s at %d: %w", name, off, err)
	case !bytes.Equal(buf[:got], want):
		return fmt.Errorf("%s at %d: %d bytes, want %d others", name, off, got, len(want))
	}
	return nil
}

// TestDisturbedReaders: readers that are killed in the middle leave the fetch to the
// others, which get all of it, once; a Go program under a storm of signals gets it too.
func TestDisturbedReaders(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	h, p := newHost(t).behind()
	f := faultyOn(h, p, true, map[string][]byte{"shared": randomBytes(size, 1), "deserted": randomBytes(size, 2), "storm": randomBytes(12<<20, 3)})
	p.Inject(servers.Fault{Match: getOf(""), Rate: 4 << 20}) // of each request
	p.Traffic()
	var readers []*child
	for range 8 {
		readers = append(readers, f.sum("shared"))
	}
	fetched := f.killInTheMiddle(readers[1:])
	f.wantSum(readers[0])
	if got := fetched + p.Traffic().Bytes; got > size*5/4 {
		t.Errorf("%d MiB were fetched for one file of %d MiB", got>>20, size>>20)
	}
	deserted := []*child{f.sum("deserted"), f.sum("deserted")}
	f.killInTheMiddle(deserted)
	storm := h.start("--json", "put", "--name", "faults/storm", "--type", "dataset", "--dry-run", f.mnt+"/storm") // a Go program that reads it
	signals := storm.storm()
	want := h.put("faults/copy", "storm="+copyOf(t, f.objects["storm"])).Digest
	if r := storm.end(); r.code != 0 || !strings.Contains(r.stdout, want) {
		t.Errorf("reader in a storm: exit %d: %s%s, want digest %s", r.code, r.stdout, r.stderr, want)
	}
	if signals < 20 {
		t.Errorf("only %d signals were sent", signals)
	}
	p.Heal()
	f.wantRight("deserted")
	f.wantNoErrors()
}

// copyOf puts data into a file named storm.
func copyOf(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "storm")
	write(t, path, string(data))
	return path
}

// killInTheMiddle kills readers some MiB after they began, and gives how many bytes
// had come by then.
func (f *faulty) killInTheMiddle(readers []*child) (fetched int64) {
	f.t.Helper()
	fetched = f.fetches(2 << 20)
	for _, r := range readers {
		r.signal(syscall.SIGKILL)
	}
	for _, r := range readers {
		if got := r.end(); got.code != -1 {
			f.t.Errorf("a reader ended before it was killed: exit %d: %s", got.code, got.stderr)
		}
	}
	return fetched
}

// storm sends SIGURG to all threads of the process until it ends; it counts them.
func (r *running) storm() (signals int) {
	for alive(r.cmd.Process.Pid) {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.cmd.Process.Pid))
		for _, thread := range threads {
			if tid, err := strconv.Atoi(thread.Name()); err == nil && tgkill(r.cmd.Process.Pid, tid, syscall.SIGURG) == nil {
				signals++
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
	return signals
}

// needs finds a program of the system.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: run integration/tools.sh install test", name)
	}
}
