package fusefs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/testwarden"
	"golang.org/x/sys/unix"
)

func openReadClose(t testing.TB, path string, p []byte) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	n, err := unix.Read(fd, p)
	must(t, err)
	must(t, unix.Close(fd))
	if n != len(p) {
		t.Fatalf("read %d bytes, want %d", n, len(p))
	}
}

func TestWarmFileAsksNothing(t *testing.T) {
	s, mem := museum(t)
	s.version(t, "vision", "cifar:v0", mem.put("d/f", random(1, 4096)))
	for name, o := range map[string]fusefs.Options{
		"one version": {Content: mem, Tree: build(t, exact, "", mem.put("d/f", random(1, 4096)))},
		"names":       {Content: mem, Names: s},
	} {
		m := mount(t, o)
		dir := m.Dir()
		if o.Names != nil {
			dir += "/vision/cifar:v0"
		}
		cwd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0) // names above it are asked for each second
		must(t, err)
		path, p := "/proc/self/fd/"+strconv.Itoa(cwd)+"/d/f", make([]byte, 4096)
		openReadClose(t, path, p)
		before := m.Requests()
		for range 1000 {
			openReadClose(t, path, p)
		}
		if got := m.Requests(); got != before {
			t.Errorf("%s: 1,000 warm rounds made requests: %+v, before %+v", name, got, before)
		}
		unix.Close(cwd)
	}
}

func TestWarmDirectoriesAskNothing(t *testing.T) {
	m, _ := mountFiles(t, sample())
	all := func() int {
		n := 0
		must(t, filepath.Walk(m.Dir(), func(string, os.FileInfo, error) error { n++; return nil }))
		return n
	}
	n := all()
	before := m.Requests()
	for range 3 {
		if got := all(); got != n {
			t.Errorf("%d names, want %d", got, n)
		}
	}
	if got := m.Requests(); got != before {
		t.Errorf("warm walks made requests: %+v, before %+v", got, before)
	}
}

func TestReadsAreLarge(t *testing.T) {
	mem := newMemory()
	var mu sync.Mutex
	sizes := map[int]int{}
	mem.onRead = func(_ int64, n int) { mu.Lock(); sizes[n]++; mu.Unlock() }
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", random(1, 32<<20)))})
	if _, err := os.ReadFile(m.Dir() + "/f"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if sizes[1<<20] < 16 {
		t.Errorf("requests by size: %v, want most of 1 MiB", sizes)
	}
}

func TestManyReaders(t *testing.T) {
	files := map[string][]byte{}
	for i := range 20 {
		files[fmt.Sprint(i)] = random(uint64(i), 1<<20+i)
	}
	m, _ := mountFiles(t, files)
	var wg sync.WaitGroup
	for r := range 16 {
		wg.Go(func() {
			for i := range 20 {
				name := fmt.Sprint((i + r) % 20)
				if got, err := os.ReadFile(m.Dir() + "/" + name); !bytes.Equal(got, files[name]) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// reader starts this test program to read a file, as process of its own.
func reader(t *testing.T, role, path string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := testwarden.Command(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE="+role, "FUSEFS_TEST_PATH="+path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	return cmd, &out
}

// readDirectly reads with O_DIRECT: such requests wait in the foreground, where
// signals reach them.
func readDirectly() error {
	fd, err := unix.Open(os.Getenv("FUSEFS_TEST_PATH"), unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	h := sha256.New()
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			fmt.Printf("%x", h.Sum(nil))
			return nil
		}
		h.Write(buf[:n])
	}
}

func readBuffered() error {
	file, err := os.Open(os.Getenv("FUSEFS_TEST_PATH"))
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	fmt.Printf("%x", h.Sum(nil))
	return nil
}

// readMapped faults pages in. That must not happen in the process that serves
// them: the Go runtime can't stop a thread in a page fault, so its collector
// would wait for the fault and the server for the collector.
func readMapped() error {
	file, err := os.Open(os.Getenv("FUSEFS_TEST_PATH"))
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	fmt.Printf("%x", sha256.Sum256(mapped))
	return nil
}

func TestMappedFile(t *testing.T) {
	data := random(2, 5<<20+123)
	m, _ := mountFiles(t, map[string][]byte{"f": data})
	cmd, out := reader(t, "mapped", m.Dir()+"/f")
	must(t, cmd.Wait())
	if want := fmt.Sprintf("%x", sha256.Sum256(data)); out.String() != want {
		t.Errorf("mapped bytes are %s, want %s", out, want)
	}
}

func TestSignalsDoNotFailReads(t *testing.T) {
	data := random(3, 16<<20)
	mem := newMemory()
	mem.onRead = func(int64, int) { time.Sleep(20 * time.Millisecond) }
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", data))})
	for _, role := range []string{"direct", "buffered"} {
		cmd, out := reader(t, role, m.Dir()+"/f")
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		signals := storm(t, cmd.Process.Pid, done, out)
		if want := fmt.Sprintf("%x", sha256.Sum256(data)); out.String() != want {
			t.Errorf("%s: read %q, want %s", role, out, want)
		}
		if signals < 20 {
			t.Errorf("%s: only %d signals were sent: the test shows nothing", role, signals)
		}
	}
}

// storm sends SIGURG to all threads of a process until it ends.
func storm(t *testing.T, pid int, done chan error, out *bytes.Buffer) int {
	t.Helper()
	for signals := 0; ; {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("reader: %v: %s", err, out)
			}
			return signals
		case <-time.After(500 * time.Microsecond):
		}
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		for _, thread := range threads {
			tid, _ := strconv.Atoi(thread.Name())
			if unix.Tgkill(pid, tid, unix.SIGURG) == nil {
				signals++
			}
		}
	}
}

func TestKilledReaderIsGone(t *testing.T) {
	mem := newMemory()
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", random(1, 1<<20)))})
	release := mem.block("mem://b/f")
	defer close(release)
	for _, first := range []syscall.Signal{syscall.SIGKILL, syscall.SIGURG} { // a harmless one before uses up the kernel's only INTERRUPT
		cmd, out := reader(t, "direct", m.Dir()+"/f")
		before := mem.reads.Load()
		eventually(t, "the reader reads", func() bool { return mem.reads.Load() > before })
		if first != syscall.SIGKILL {
			signalAll(t, cmd.Process.Pid, first)
			time.Sleep(100 * time.Millisecond)
		}
		must(t, cmd.Process.Kill())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the killed reader is still there: %s", out)
		}
		if err := <-mem.ended; err == nil {
			t.Error("the read was not told")
		}
	}
}

func signalAll(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, thread := range threads {
		tid, _ := strconv.Atoi(thread.Name())
		_ = unix.Tgkill(pid, tid, sig)
	}
}

func TestReadThatNothingEndsHasADeadline(t *testing.T) {
	mem := newMemory()
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", []byte("x"))), ReadTimeout: 200 * time.Millisecond})
	defer close(mem.block("mem://b/f"))
	if _, err := os.ReadFile(m.Dir() + "/f"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("%v, want ETIMEDOUT", err)
	}
}

// readAhead has the kernel read a file that nobody waits for, and lives on.
func readAhead() error {
	fd, err := unix.Open(os.Getenv("FUSEFS_TEST_PATH"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Fadvise(fd, 0, 1<<20, unix.FADV_WILLNEED), unix.Close(fd)); err != nil {
		return err
	}
	fmt.Println("asked")
	_, err = os.Stdin.Read(make([]byte, 1))
	return err
}

// TestUnmountDoesNotWaitForReadAhead: what the kernel reads ahead and the content can't
// give keeps no mount alive.
func TestUnmountDoesNotWaitForReadAhead(t *testing.T) {
	mem := newMemory()
	tree := build(t, exact, "", mem.put("f", random(1, 1<<20)))
	mem.block("mem://b/f")
	m := mount(t, fusefs.Options{Content: mem, Tree: tree})
	cmd := testwarden.Command(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE=ahead", "FUSEFS_TEST_PATH="+m.Dir()+"/f")
	cmd.Stderr = t.Output()
	stay, err := cmd.StdinPipe()
	must(t, err)
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.ReadFull(said, make([]byte, len("asked\n")))
	must(t, err)
	eventually(t, "a read", func() bool { return mem.reads.Load() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := m.Unmount(ctx, false); err != nil {
		t.Errorf("unmount: %v", err)
	}
	_, err = stay.Write([]byte("."))
	must(t, err)
	must(t, cmd.Wait())
}
