package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// kills is how often the daemon is killed; PINFS_KILLS sets another number.
func kills(t *testing.T) int {
	t.Helper()
	text, ok := os.LookupEnv("PINFS_KILLS")
	if !ok {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PINFS_KILLS=%q is no number of kills", text)
	}
	return n
}

// TestKilledWhileFilling kills the daemon again and again while readers fill its
// cache from S3; every byte that any start of it serves must be right. A round
// counts only when the kill came while reads were under way and objects had been
// asked for.
func TestKilledWhileFilling(t *testing.T) {
	h, p := newHost(t).with("PINFS_CACHE_SIZE=64M").behind() // smaller than the data: it evicts too
	p.Inject(servers.Fault{Delay: 2 * time.Millisecond})     // as any network has
	shared.s3.CreateBucket(t, "killed", true)
	want := map[string][]byte{}
	random := rand.NewChaCha8([32]byte{7})
	for i := range 60 {
		data := make([]byte, []int{3000, 60_000, 400_000, 5 << 20}[i%4])
		random.Read(data)
		name := fmt.Sprintf("object-%02d", i)
		want[name] = data
		shared.s3.Put(t, "killed", "d/"+name, data)
	}
	h.put("torture/kill", "s3://killed/d")
	mnt := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	counted, reads, fetches := 0, int64(0), 0
	for round := 0; counted < kills(t); round++ {
		if round > 3*kills(t) {
			t.Fatalf("only %d of %d kills came while the cache was filled: the test would say nothing", counted, round)
		}
		before := gets(p)
		hit, n := killRound(t, h, mnt, want, func() bool { return gets(p) > before })
		asked := gets(p) - before
		reads, fetches = reads+n, fetches+asked
		if hit && asked > 0 {
			counted++
		}
	}
	h.must("mount", "torture/kill:v0", mnt) // over the dead mount
	wantTree(t, mnt, want)
	h.must("umount", mnt)
	t.Logf("%d kills while filling, %d reads, %d GETs, no wrong byte", counted, reads, fetches)
}

// killRound mounts, reads with several readers, kills the daemon at a random moment
// soon after it asked for objects, if it does. hit is true when reads were under way; n
// is how many ended well.
func killRound(t *testing.T, h *host, mnt string, want map[string][]byte, asked func() bool) (hit bool, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// In the foreground, so that the process to kill is our child.
	daemon := h.command(ctx, "mount", "--foreground", "torture/kill:v0", mnt)
	var log bytes.Buffer
	daemon.Stderr = &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer detach(t, mnt)
	waitMounted(t, mnt, &log)
	var wg sync.WaitGroup
	var right atomic.Int64
	var busy atomic.Int32
	for reader := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			busy.Add(1)
			defer busy.Add(-1)
			readUntilDead(t, mnt, want, uint64(reader), &right)
		}()
	}
	for deadline := time.Now().Add(time.Second); !asked() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(120 * time.Millisecond))))
	hit = busy.Load() > 0
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := daemon.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the daemon ended before it was killed: %v\n%s", err, log.String())
	}
	wg.Wait()
	return hit, right.Load()
}

// readUntilDead reads files in random order until the mount is dead.
func readUntilDead(t *testing.T, mnt string, want map[string][]byte, seed uint64, right *atomic.Int64) {
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for {
		for _, name := range names {
			got, err := readBlocking(filepath.Join(mnt, name))
			if err != nil {
				if !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.EIO) {
					t.Errorf("reader %d: %v, want only what a dead mount gives", seed, err)
				}
				return
			}
			if !bytes.Equal(got, want[name]) {
				t.Errorf("%s: wrong bytes", name)
				return
			}
			right.Add(1)
		}
	}
}

// readBlocking reads a file that Go's poller, for which a dead mount has words of its
// own, does not know.
func readBlocking(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return io.ReadAll(f)
}

func waitMounted(t *testing.T, mnt string, log *bytes.Buffer) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(filepath.Join(mnt, "object-00")); err == nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("not mounted within 30 s:\n%s", log.String())
}

// detach takes a dead mount away.
func detach(t *testing.T, mnt string) {
	t.Helper()
	if err := syscall.Unmount(mnt, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("detach %s: %v", mnt, err)
	}
}
