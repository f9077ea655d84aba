package integration_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/integration/servers"
)

// TestEverythingAtOnce: 24 readers read at random what is ten times the cache, while
// all objects are overwritten again and again, the disk of the cache is full half of the
// time, and the source stumbles. Each byte is the recorded one and no read fails.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	const files, readers = 100, 24
	small := newTmpfs(t, "512m")
	h, p := newHost(t).with("PINFS_CACHE_DIR="+filepath.Join(small, "cache"), "PINFS_CACHE_SIZE=9M", "PINFS_MIN_FREE=60M").behind()
	f := &faulty{host: h, proxy: p, bucket: newBucket(t, true), objects: mixedObjects(files), mnt: emptyDir(t)}
	f.putObjects()
	end := f.inForeground()
	defer end()
	p.Inject(servers.Fault{Match: getOf(""), Skip: 50, Status: 503, Code: "SlowDown", Times: 5})
	p.Inject(servers.Fault{Match: getOf(""), Skip: 100, Cut: servers.At(1000), Times: 20})
	p.Inject(servers.Fault{Match: getOf(""), Skip: 100, Reset: true, Times: 10})
	over := time.Now().Add(lasting(5*time.Second, 10*time.Minute))
	going := func() bool { return time.Now().Before(over) && !t.Failed() }
	var all sync.WaitGroup
	var reads, written, full atomic.Int64
	for range readers {
		all.Go(func() {
			for going() {
				if err := f.readAtRandom(20); err != nil {
					t.Error(err)
				}
				reads.Add(20)
			}
		})
	}
	all.Go(func() {
		for i := 0; going(); i++ {
			name := fmt.Sprintf("object-%02d", rand.IntN(files))
			shared.s3.Put(t, f.bucket, "d/"+name, randomBytes(len(f.objects[name]), byte(i+1)))
			written.Add(1)
		}
	})
	all.Go(func() {
		for going() {
			fillDisk(t, filepath.Join(small, "other"))
			full.Add(1)
			time.Sleep(250 * time.Millisecond)
			if err := os.Remove(filepath.Join(small, "other")); err != nil {
				t.Error(err)
			}
			time.Sleep(250 * time.Millisecond)
		}
	})
	all.Go(func() {
		for going() {
			forgetPages(t)
			time.Sleep(100 * time.Millisecond)
		}
	})
	all.Wait()
	f.wantNoErrors()
	var s daemon.Status
	h.json(&s, "status")
	if s.Cache.Used > s.Cache.Limit || s.Cache.Objects == 0 {
		t.Errorf("the cache holds %d bytes of %d objects, of %d at most", s.Cache.Used, s.Cache.Objects, s.Cache.Limit)
	}
	if reads.Load() < 500 || written.Load() < 20 || full.Load() < 3 {
		t.Errorf("too little has happened: %d reads, %d objects overwritten, the disk full %d times", reads.Load(), written.Load(), full.Load())
	}
	t.Logf("%d reads, %d objects overwritten, the disk full %d times; %d hits, %d misses", reads.Load(), written.Load(), full.Load(), s.Cache.Hits, s.Cache.Misses)
}

// inForeground mounts in the foreground, so that what a daemon says whose disk is full
// is not lost. end unmounts, and shows it if the test has failed.
func (f *faulty) inForeground() (end func()) {
	f.t.Helper()
	r := f.start("mount", "--foreground", "faults/all:v0", f.mnt)
	eventually(f.t, "it is mounted", func() bool { return isMounted(f.t, f.mnt) })
	return func() {
		if got := f.run("umount", f.mnt); got.code != 0 {
			f.t.Errorf("umount: exit %d: %s", got.code, got.stderr)
			_ = unix.Unmount(f.mnt, unix.MNT_DETACH)
			_ = r.cmd.Process.Kill()
		}
		if got := r.end(); got.code != 0 {
			f.t.Errorf("the daemon ended with code %d: %.6000s", got.code, got.stderr)
		}
	}
}

// newTmpfs mounts a file system of that size.
func newTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount tmpfs: %v (this test needs root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk makes a file that takes all the room there is, at 1 GB/s.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	at := int64(0)
	for n := int64(4 << 20); n >= 4096; {
		if unix.Fallocate(int(file.Fd()), 0, at, n) == nil {
			at += n
			time.Sleep(4 * time.Millisecond)
		} else {
			n /= 2
		}
	}
}
