package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func TestClientAsksTheDaemon(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	c := daemon.NewClient(h.cache)
	ctx := context.Background()
	if _, err := c.Status(ctx); !errors.Is(err, daemon.ErrNoDaemon) {
		t.Fatalf("status without a daemon: %v", err)
	}
	d := h.daemon()
	req := h.request("p/a:v0")
	reply, err := c.Mount(ctx, req)
	must(t, err)
	if reply.MountPoint != req.Dir || reply.Ref != "p/a:v0" || reply.PID != os.Getpid() {
		t.Errorf("reply %+v", reply)
	}
	s, err := c.Status(ctx)
	must(t, err)
	if len(s.Mounts) != 1 || s.Mounts[0].Dir != req.Dir || s.Mounts[0].Open != "stateless" {
		t.Errorf("mounts %+v", s.Mounts)
	}
	_, err = c.Mount(ctx, req)
	wantKind(t, err, manifest.KindBusy, req.Dir)
	bad := h.request("p/b")
	_, err = c.Mount(ctx, bad)
	wantKind(t, err, manifest.KindNotFound, "no artifact 'b'")
	f := openFile(t, req.Dir+"/x")
	wantKind(t, c.Unmount(ctx, req.Dir, false), manifest.KindBusy)
	f.Close()
	_, err = d.Mount(ctx, h.request("p")) // so that the daemon does not end
	must(t, err)
	must(t, c.Unmount(ctx, req.Dir, false))
	wantKind(t, c.Unmount(ctx, req.Dir, false), manifest.KindNotFound)
	must(t, c.Shutdown(ctx))
	d.Run(ctx) // returns: it was told
}

func TestCancelledMountLeavesNothing(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	for i := range 20 {
		req := h.request("p/a:v0")
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*time.Millisecond)
		_, err := daemon.NewClient(h.cache).Mount(ctx, req)
		cancel()
		if err == nil {
			must(t, d.Unmount(req.Dir, false))
		}
	}
	eventually(t, "no mount is left", func() bool { return len(d.Status().Mounts) == 0 })
}

// A cancel may be faster than its request.
func TestCancelBeforeTheMount(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	req := h.request("p/a:v0")
	for i := range 100 {
		d.Cancel(context.Background(), req.Dir, fmt.Sprint("token", i))
	}
	req.Token = "token99"
	_, err := d.Mount(context.Background(), req)
	wantKind(t, err, manifest.KindCanceled, req.Dir)
	if isMounted(req.Dir) {
		t.Error("it is mounted")
	}
	req.Token = "another"
	_, err = d.Mount(context.Background(), req)
	must(t, err)
	must(t, d.Unmount(req.Dir, false))
}

func TestSecondDaemonIsRefused(t *testing.T) {
	h := newHouse(t)
	h.daemon()
	_, err := daemon.New(h.options(filestore.New()))
	wantKind(t, err, manifest.KindBusy, h.cache)
	if _, err := daemon.NewClient(h.cache).Status(context.Background()); err != nil {
		t.Errorf("the first one does not answer any more: %v", err)
	}
}

func TestVeryLongCacheDirectory(t *testing.T) {
	h := newHouse(t)
	h.cache = filepath.Join(filepath.Dir(h.cache), strings.Repeat("long name/", 30), "cache")
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	req := h.request("p/a:v0")
	req.Dir = filepath.Dir(h.registry) + "/m"
	must(t, os.Mkdir(req.Dir, 0o755))
	_, err := daemon.NewClient(h.cache).Mount(context.Background(), req)
	must(t, err)
	if n := len(d.Status().Mounts); n != 1 {
		t.Errorf("got %d mounts, want 1", n)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	h := newHouse(t)
	h.daemon()
	info, err := os.Stat(h.cache + "/control.sock")
	must(t, err)
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("socket mode %o, want 600", got)
	}
	dir, err := os.Stat(h.cache)
	must(t, err)
	if got := dir.Mode().Perm(); got != 0o700 {
		t.Errorf("cache directory mode %o, want 700", got)
	}
}

// TestManyConnections holds more connections than are answered at a time, which
// say nothing: they are cut, and others get their answer.
func TestManyConnections(t *testing.T) {
	h := newHouse(t)
	h.daemon()
	var held []net.Conn
	for range 100 {
		conn, err := net.Dial("unix", h.cache+"/control.sock")
		if err != nil {
			break // the backlog is full
		}
		held = append(held, conn)
	}
	for _, conn := range held[:60] {
		conn.Close()
	}
	if _, err := daemon.NewClient(h.cache).Status(context.Background()); err != nil {
		t.Errorf("status: %v", err)
	}
	for _, conn := range held {
		conn.Close()
	}
}

func TestGarbageOnTheSocket(t *testing.T) {
	h := newHouse(t)
	h.daemon()
	for _, text := range []string{"nonsense\r\n\r\n", "POST /v1/mounts HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{{{{{",
		"DELETE /v1/mounts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]", "GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn, err := net.Dial("unix", h.cache+"/control.sock")
		must(t, err)
		_, err = conn.Write([]byte(text))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		buf := make([]byte, 12)
		n, _ := conn.Read(buf)
		if got := string(buf[:n]); !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("%q is answered with %q", text, got)
		}
		conn.Close()
	}
}

// start is what the command does when there is no daemon.
func (h *house) start(ctx context.Context) error {
	return daemon.Start(ctx, h.cache, []string{"pinfs-test", "test-daemon", h.cache})
}

func TestStartInTheBackground(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	c, req := daemon.NewClient(h.cache), h.request("p/a:v0")
	ctx := context.Background()
	reply, err := c.MountOrStart(ctx, req, h.start)
	must(t, err)
	if reply.PID == os.Getpid() || reply.PID == 0 {
		t.Fatalf("reply %+v", reply)
	}
	if got := read(t, req.Dir+"/x"); got != "one" {
		t.Errorf("x is %q", got)
	}
	second := h.request("p")
	again, err := c.MountOrStart(ctx, second, h.start)
	must(t, err)
	if again.PID != reply.PID {
		t.Errorf("two daemons: %d and %d", reply.PID, again.PID)
	}
	_, err = daemon.New(h.options(filestore.New()))
	wantKind(t, err, manifest.KindBusy, h.cache)
	must(t, c.Unmount(ctx, req.Dir, false))
	must(t, syscall.Unmount(second.Dir, 0)) // not by pinfs: it ends all the same
	reap(t, reply.PID)
	if _, err := c.Status(ctx); !errors.Is(err, daemon.ErrNoDaemon) {
		t.Errorf("status after the end: %v", err)
	}
}

// reap waits for a daemon that Start made a child of this process.
func reap(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the daemon ends", func() bool {
		got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		return got == pid || errors.Is(err, syscall.ECHILD)
	})
}

func TestStartTellsWhatFailed(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	must(t, os.WriteFile(h.cache, nil, 0o600))
	_, err := daemon.NewClient(h.cache).MountOrStart(context.Background(), h.request("p/a:v0"), h.start)
	if err == nil || !strings.Contains(err.Error(), h.cache) {
		t.Errorf("a file in place of the cache directory: %v", err)
	}
	must(t, os.Remove(h.cache))
	quit := func(ctx context.Context) error {
		return daemon.Start(ctx, h.cache, []string{"pinfs-test", "-nosuchflag"})
	}
	_, err = daemon.NewClient(h.cache).MountOrStart(context.Background(), h.request("p/a:v0"), quit)
	if err == nil || !strings.Contains(err.Error(), "daemon.log") {
		t.Errorf("a daemon that ends at once: %v", err)
	}
	if log := read(t, h.cache+"/daemon.log"); !strings.Contains(log, "nosuchflag") {
		t.Errorf("the log does not say what the daemon said: %q", log)
	}
}

func TestManyStartAtOnce(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	const n = 6
	var all sync.WaitGroup
	pids, reqs := make([]int, n), make([]daemon.MountRequest, n)
	for i := range n {
		reqs[i] = h.request("p/a:v0")
		all.Go(func() {
			reply, err := daemon.NewClient(h.cache).MountOrStart(context.Background(), reqs[i], h.start)
			if err != nil {
				t.Errorf("mount %d: %v", i, err)
			}
			pids[i] = reply.PID
		})
	}
	all.Wait()
	for i, pid := range pids {
		if pid != pids[0] {
			t.Errorf("mount %d is of daemon %d, not %d", i, pid, pids[0])
		}
		if got := read(t, reqs[i].Dir+"/x"); got != "one" {
			t.Errorf("mount %d: x is %q", i, got)
		}
	}
	must(t, daemon.NewClient(h.cache).Shutdown(context.Background()))
	reap(t, pids[0])
	for _, r := range reqs {
		if isMounted(r.Dir) {
			t.Errorf("%s is still mounted", r.Dir)
		}
	}
}

// TestMountWhileTheDaemonEnds mounts again and again just after the last mount
// of a daemon went.
func TestMountWhileTheDaemonEnds(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	c, ctx := daemon.NewClient(h.cache), context.Background()
	req := h.request("p/a:v0")
	for range 5 {
		reply, err := c.MountOrStart(ctx, req, h.start)
		must(t, err)
		must(t, syscall.Unmount(req.Dir, 0))
		defer reap(t, reply.PID)
	}
}

func TestKilledDaemon(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	c, ctx := daemon.NewClient(h.cache), context.Background()
	req := h.request("p/a:v0")
	for range 3 {
		reply, err := c.MountOrStart(ctx, req, h.start)
		must(t, err)
		if got := read(t, req.Dir+"/x"); got != "one" {
			t.Errorf("x is %q", got)
		}
		must(t, syscall.Kill(reply.PID, syscall.SIGKILL))
		reap(t, reply.PID)
	}
	reply, err := c.MountOrStart(ctx, req, h.start)
	must(t, err)
	must(t, syscall.Kill(reply.PID, syscall.SIGTERM))
	reap(t, reply.PID)
	if isMounted(req.Dir) {
		t.Error("still mounted after SIGTERM")
	}
}
