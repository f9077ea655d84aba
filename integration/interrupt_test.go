package integration_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// TestInterruptedPut: Ctrl-C while a source is listed, and while files are
// hashed, leaves the registry as it was.
func TestInterruptedPut(t *testing.T) {
	h := newHost(t)
	versions(t, h, "stop/put", 1)
	before := registryFiles(t, h)
	unchanged := func() {
		t.Helper()
		if after := registryFiles(t, h); after != before {
			t.Errorf("the registry changed:\n%s\nto\n%s", before, after)
		}
		wantNoTemporaries(t, h)
	}
	bucket := newBucket(t, true)
	objects := map[string][]byte{}
	for i := range 30 {
		objects[fmt.Sprintf("d/%d", i)] = []byte("x")
	}
	putAll(t, bucket, objects)
	slow, p := h.behind()
	p.Inject(servers.Fault{Skip: 1, Delay: time.Minute})
	put := []string{"put", "--name", "stop/put", "--type", "dataset"}
	listing := func() bool { return p.Count(func(string, string) bool { return true }) > 1 }
	slow.start(append(put, "s3://"+bucket+"/d")...).interrupt(listing)
	unchanged()

	top := t.TempDir()
	if err := os.WriteFile(filepath.Join(top, "small"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(top, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(64 << 30); err != nil { // holes take no room, and minutes to hash
		t.Fatal(err)
	}
	if err := large.Close(); err != nil {
		t.Fatal(err)
	}
	hashing := h.start(append(put, top)...)
	hashing.interrupt(func() bool { return hashing.hasRead() > 64<<20 })
	unchanged()
	p.Heal()
	if got := slow.put("stop/put", "s3://"+bucket+"/d"); !got.New || got.Version != "v1" {
		t.Errorf("put after interrupted ones: %+v, want a new v1", got)
	}
}

// hasRead gives how many bytes the command has read from files.
func (r *running) hasRead() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	n, _ := strconv.ParseInt(string(regexp.MustCompile(`(?m)^rchar: (\d+)$`).FindSubmatch(text)[1]), 10, 64)
	return n
}

// TestInterruptedGet: Ctrl-C keeps what is complete and nothing else; the next
// get brings the rest.
func TestInterruptedGet(t *testing.T) {
	h, p := newHost(t).behind()
	bucket := newBucket(t, true)
	want := map[string][]byte{}
	objects := map[string][]byte{}
	for i := range 12 {
		data := randomBytes([]int{1000, 300_000, 6 << 20, 40 << 20}[i%4], byte(i))
		name := fmt.Sprintf("dir-%d/file-%d", i%2, i)
		want[name], objects["d/"+name] = data, data
	}
	putAll(t, bucket, objects)
	h.put("stop/get", "s3://"+bucket+"/d")
	p.Inject(servers.Fault{Match: func(r *http.Request) bool { return r.Method == http.MethodGet }, Skip: 4, Stall: servers.At(1 << 20)})
	root := filepath.Join(h.dir, "got")
	get := h.start("get", "stop/get:v0", "--root", root)
	get.interrupt(func() bool { return len(filesOf(t, root, ".part")) >= 3 })
	for _, path := range filesOf(t, root, "") {
		if name, err := filepath.Rel(root, path); err != nil || !bytes.Equal(read(t, path), want[name]) {
			t.Errorf("left behind: %s, which is no complete file of the version", path)
		}
	}
	p.Heal()
	h.must("get", "stop/get:v0", "--root", root)
	wantTree(t, root, want)
}

// filesOf lists the files below dir whose names end with suffix; those that go
// meanwhile may miss.
func filesOf(t *testing.T, dir, suffix string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestInterruptedMount: Ctrl-C while the daemon can't start, and while it does
// not answer, leaves no mount and no daemon of its own.
func TestInterruptedMount(t *testing.T) {
	h := newHost(t)
	versions(t, h, "stop/mount", 1)
	cache, dir := filepath.Join(h.dir, "cache"), emptyDir(t)
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // as a daemon that does not answer yet
		t.Fatal(err)
	}
	h.start("mount", "stop/mount:v0", dir).interrupt(func() bool {
		_, err := os.Stat(filepath.Join(cache, "daemon.log"))
		return err == nil
	})
	if isMounted(t, dir) || h.status().Daemon.PID != 0 {
		t.Errorf("after an interrupted start: mounted %t, status %+v", isMounted(t, dir), h.status())
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	mnt := h.mount("stop/mount:v0")
	pid := h.status().Daemon.PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waiting := h.start("mount", "stop/mount:v0", dir)
	waiting.interrupt(func() bool { return waiting.connected() })
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wantFile(t, mnt, 0)
	eventually(t, "the mount that nobody wants is gone", func() bool { return len(h.status().Mounts) == 1 && !isMounted(t, dir) })
	if got := h.status().Daemon.PID; got != pid {
		t.Errorf("daemon %d, was %d", got, pid)
	}
}

// TestInterruptedStart: whenever Ctrl-C comes while a daemon is being started for
// a mount, there is that mount, or neither mount nor daemon.
func TestInterruptedStart(t *testing.T) {
	h := newHost(t)
	versions(t, h, "stop/start", 1)
	dir := emptyDir(t)
	start := time.Now()
	h.must("mount", "stop/start:v0", dir)
	took := time.Since(start)
	h.must("umount", dir)
	interrupted := 0
	for round := 0; interrupted < 15; round++ {
		if round > 100 {
			t.Fatalf("only %d of %d interrupts came before the mount was there", interrupted, round)
		}
		mount := h.start("mount", "stop/start:v0", dir)
		time.Sleep(rand.N(took))
		mount.signal(syscall.SIGINT)
		r := mount.end()
		switch {
		case r.code == 0:
			wantFile(t, dir, 0)
			h.must("umount", dir)
			continue
		case r.code == -1: // before it cared for signals
		default:
			wantOneLine(t, r, 130, "interrupted")
			interrupted++
		}
		eventually(t, "the interrupted mount is gone", func() bool { return !isMounted(t, dir) })
		h.waitNoDaemon()
	}
}

// waitNoDaemon waits for a daemon that nobody needs to end; it must not take the
// time that a daemon gives its first client.
func (h *host) waitNoDaemon() {
	h.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for h.status().Daemon.PID != 0 {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(h.dir, "cache", "daemon.log"))
			h.t.Fatalf("a daemon without mounts is still there after 10 s; its log ends: %s", tail(string(log), 1000))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// connected tells whether the command has a socket open.
func (r *running) connected() bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.cmd.Process.Pid))
	for _, fd := range fds {
		if target, _ := os.Readlink(fd); strings.HasPrefix(target, "socket:") {
			return true
		}
	}
	return false
}

// TestKilledPut: wherever a put is killed, the registry is as before or has the
// whole version; the next put works and takes away what was left.
func TestKilledPut(t *testing.T) {
	const kills, files = 20, 1500
	h, top := newHost(t), t.TempDir()
	for i := range files {
		write(t, filepath.Join(top, itoa(i%30), itoa(i)), "content "+itoa(i))
	}
	h.put("stop/kill", top)
	write(t, filepath.Join(top, "round"), "first")
	start := time.Now()
	h.put("stop/kill", top)
	took := time.Since(start)
	count, killed, complete, left := 2, 0, 0, 0
	for round := 0; killed < kills; round++ {
		if round > 5*kills {
			t.Fatalf("only %d of %d kills came before the commit", killed, round)
		}
		write(t, filepath.Join(top, "round"), itoa(round))
		put := h.start("put", "--name", "stop/kill", "--type", "dataset", top)
		time.Sleep(rand.N(took))
		put.signal(syscall.SIGKILL)
		r, n := put.end(), len(h.versionsOf("stop/kill"))
		switch {
		case n == count+1:
			complete++
		case n != count || r.code != -1:
			t.Fatalf("round %d: exit %d with %d versions, want %d or one more", round, r.code, n, count)
		default:
			killed++
		}
		left += agedTemporaries(t, h)
		p := h.put("stop/kill", top)
		if p.Version != "v"+itoa(count) || p.New != (n == count) || p.Files != files+1 {
			t.Fatalf("round %d: put after the kill: %+v, with %d versions before", round, p, n)
		}
		wantNoTemporaries(t, h)
		count++
	}
	if left < kills/4 {
		t.Errorf("of %d kills %d left something: the test says little", killed, left)
	}
	digests := map[string]bool{}
	for _, v := range h.versionsOf("stop/kill") {
		digests[v.Digest] = true
	}
	if len(digests) != count {
		t.Errorf("%d digests, want %d", len(digests), count)
	}
	h.must("get", "stop/kill", "--root", filepath.Join(h.dir, "got"))
	t.Logf("%d kills before and %d after the commit; %d left something in the registry's .tmp", killed, complete, left)
}

// agedTemporaries makes what a killed process left older than what a living one
// may have made just now, and counts it.
func agedTemporaries(t *testing.T, h *host) int {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(h.dir, "registry/.tmp/*"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Minute)
	for _, path := range left {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return len(left)
}
