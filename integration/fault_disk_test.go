package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/testwarden"
)

func tgkill(pid, tid int, sig syscall.Signal) error { return unix.Tgkill(pid, tid, sig) }

// mixedObjects are n objects of all sizes that the cache keeps in other ways.
func mixedObjects(n int) map[string][]byte {
	objects := map[string][]byte{}
	for i := range n {
		objects[fmt.Sprintf("object-%02d", i)] = randomBytes([]int{3000, 60_000, 400_000, 3 << 20}[i%4]+i, byte(i))
	}
	return objects
}

// TestCacheDiskGivesEIO: when the cache's disk fails all that is read and written, reads go
// past it to the source. The log says so once, and readers notice nothing.
func TestCacheDiskGivesEIO(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	h, p := newHost(t).behind()
	f := faultyOn(h, p, true, mixedObjects(24))
	names := make([]string, 0, len(f.objects))
	for name := range f.objects {
		names = append(names, name)
	}
	f.readTogether(names[:12])
	pid := h.status().Daemon.PID
	stop := injectEIO(t, pid)
	for range 2 {
		forgetPages(t)
		f.readTogether(names)
	}
	if n := h.logged("cache disk fails, reading through to the source"); n != 1 {
		t.Errorf("the log tells of the bad disk %d times, want once:\n%s", n, tail(h.daemonLog(), 2000))
	}
	f.wantNoErrors()
	stop()
	forgetPages(t)
	f.readTogether(names)
	f.wantNoErrors()
	if torture() { // half a minute later the disk is tried again
		again := time.Now().Add(time.Minute)
		for h.logged("cache disk works again") == 0 && time.Now().Before(again) {
			forgetPages(t)
			f.readTogether(names)
		}
		if h.logged("cache disk works again") != 1 {
			t.Error("the disk that works again is not used again")
		}
	}
	if got := h.status().Daemon.PID; got != pid {
		t.Errorf("the daemon is %d now, was %d", got, pid)
	}
}

// injectEIO has the kernel fail what a process reads from and writes to files at
// offsets, which is how the cache uses its disk.
func injectEIO(t *testing.T, pid int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	const calls = "pread64,pwrite64,preadv,pwritev"
	var log bytes.Buffer
	cmd := testwarden.Command(ctx, "strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+calls, "-e", "inject="+calls+":error=EIO", "-p", itoa(pid))
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of the daemon
			_ = cmd.Wait()
			cancel()
		})
	}
	t.Cleanup(stop)
	deadline := time.Now().Add(30 * time.Second)
	for !traced(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("strace can't be used here: %s", log.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return stop
}

// traced tells whether all threads of a process have a tracer.
func traced(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(threads) > 0
}

// disk is a file system of its own in a file, whose power can fail.
type disk struct {
	t          *testing.T
	image, dir string
}

func newDisk(t *testing.T, size int64) *disk {
	t.Helper()
	d := &disk{t, filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "disk")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size), os.Mkdir(d.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	program(t, "/", "mkfs.ext4", "-q", "-E", "lazy_itable_init=1", d.image)
	t.Cleanup(d.unmount)
	d.mount()
	return d
}

// mount mounts it so that what was written last is lost or torn when power fails:
// contents in any order, the journal each second.
func (d *disk) mount() {
	d.t.Helper()
	program(d.t, "/", "mount", "-o", "loop,data=writeback,commit=1", d.image, d.dir)
}

func (d *disk) unmount() {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := unix.Unmount(d.dir, 0)
		if err == nil || errors.Is(err, unix.EINVAL) {
			return
		}
		if time.Now().After(deadline) {
			d.t.Errorf("unmount the disk: %v", err)
			_ = unix.Unmount(d.dir, unix.MNT_DETACH)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// fail takes the power away: nothing that is not on the disk gets there any more,
// and all further calls fail.
func (d *disk) fail() {
	d.t.Helper()
	const shutdown, withoutFlush = 0x8004587d, uint32(2) // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	dir, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	how := withoutFlush
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		d.t.Fatalf("shut the file system down: %v", errno)
	}
}

// TestPowerLoss: the power of the cache's disk fails while it is being filled, again
// and again. Whatever is on the disk then, each start serves right bytes only.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	needs(t, "mkfs.ext4")
	d := newDisk(t, 1<<30)
	h, p := newHost(t).with("PINFS_CACHE_DIR="+filepath.Join(d.dir, "cache"), "PINFS_CACHE_SIZE=100M", "PINFS_MIN_FREE=10M").behind()
	f := &faulty{host: h, proxy: p, bucket: newBucket(t, true), objects: mixedObjects(rounds(28, 60))}
	f.putObjects()
	f.mnt = emptyDir(t)
	found := 0
	for round := range rounds(2, 40) {
		length := time.Duration(rand.Int64N(int64(1500 * time.Millisecond)))
		f.untilPowerFails(d, length)
		h.must("mount", "faults/all:v0", f.mnt)
		var before daemon.Status
		h.json(&before, "status")
		if before.Cache.Objects > 0 {
			found++
		}
		wantTree(t, f.mnt, f.objects)
		forgetPages(t)
		wantTree(t, f.mnt, f.objects)
		f.wantNoErrors()
		h.must("umount", f.mnt)
		h.waitGone()
		t.Logf("round %d: power failed after %v, %d objects were left", round, length, before.Cache.Objects)
	}
	if found == 0 {
		t.Error("no start found anything in the cache: the test says nothing")
	}
}

// untilPowerFails reads all, in any order, until the power has failed, and gives the
// disk its power back.
func (f *faulty) untilPowerFails(d *disk, after time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := f.command(ctx, "mount", "--foreground", "faults/all:v0", f.mnt)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	waitMounted(f.t.(*testing.T), f.mnt, &log)
	var readers sync.WaitGroup
	var right atomic.Int64
	for i := range 4 {
		readers.Go(func() { readUntilDead(f.t.(*testing.T), f.mnt, f.objects, uint64(i), &right) })
	}
	time.Sleep(after)
	d.fail()
	_ = cmd.Process.Kill() // unless it has died already: what it has mapped is gone
	_ = cmd.Wait()
	readers.Wait()
	detach(f.t.(*testing.T), f.mnt)
	d.unmount()
	d.mount()
}

// TestCacheClonedWhileWritten: copies that are made of the cache's directory while it is
// being written, and are thus of no single moment, are opened as caches.
func TestCacheClonedWhileWritten(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).with("PINFS_CACHE_SIZE=20M").behind() // less than there is: it evicts too
	f := faultyOn(h, p, true, mixedObjects(28))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := f.readAtRandom(10); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var clones []string
	for i := range rounds(2, 40) {
		time.Sleep(rand.N(300 * time.Millisecond))
		name := "clone-" + itoa(i)
		_ = exec.Command("cp", "-a", "--sparse=always", filepath.Join(h.dir, "cache"), filepath.Join(h.dir, name)).Run() // files go while it copies
		clones = append(clones, name)
	}
	close(stop)
	readers.Wait()
	found := int64(0)
	for _, name := range clones {
		other := h.cacheAt(name)
		mnt, umount := other.mountUntil("faults/all:v0")
		var s daemon.Status
		other.json(&s, "status")
		found += s.Cache.Objects
		wantTree(t, mnt, f.objects)
		other.wantNoErrors()
		umount()
	}
	if found == 0 {
		t.Error("no clone held anything: the test says nothing")
	}
	f.wantNoErrors()
}

// TestDamagedIndex: with any file of the index cut or scrambled the daemon starts, serves
// what was recorded, and keeps it again.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	f := &faulty{host: h, proxy: p, bucket: newBucket(t, true), objects: mixedObjects(12)}
	f.putObjects()
	for name, damage := range map[string]func(path string, data []byte) error{
		"cut":       func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) },
		"scrambled": scramble,
	} {
		h.must("warm", "faults/all:v0")
		h.waitGone()
		files, err := filepath.Glob(filepath.Join(h.dir, "cache", "index", "*"))
		if err != nil || len(files) < 3 {
			t.Fatalf("the index has the files %v, %v", files, err)
		}
		for _, path := range files {
			if err := damage(path, read(t, path)); err != nil {
				t.Fatal(err)
			}
		}
		mnt, umount := h.mountUntil("faults/all:v0")
		wantTree(t, mnt, f.objects)
		h.wantNoErrors()
		asked := gets(p)
		eventually(t, "all is kept again", func() bool {
			var s daemon.Status
			h.json(&s, "status")
			return s.Cache.Objects == int64(len(f.objects)) && s.Cache.Busy == 0
		})
		forgetPages(t)
		wantTree(t, mnt, f.objects)
		if n := gets(p) - asked; n > 0 {
			t.Errorf("%s: %d requests for what is kept again", name, n)
		}
		umount()
	}
}

// scramble inverts a byte of each 50.
func scramble(path string, data []byte) error {
	for i := 0; i < len(data); i += 50 {
		data[i] ^= 0xff
	}
	return os.WriteFile(path, data, 0o600)
}
