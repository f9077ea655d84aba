package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/testwarden"
	"golang.org/x/sys/unix"
)

func TestMountPointsThatCannotBe(t *testing.T) {
	m, mem := mountFiles(t, map[string][]byte{"d/f": []byte("x")})
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", nil, 0o644))
	must(t, os.Mkdir(dir+"/full", 0o755))
	must(t, os.WriteFile(dir+"/full/x", nil, 0o644))
	must(t, os.Symlink(m.Dir(), dir+"/link"))
	tree := build(t, exact, "", mem.put("f", nil))
	for path, want := range map[string]struct {
		kind manifest.Kind
		text string
	}{
		dir + "/missing": {manifest.KindInvalid, "mkdir -p " + dir + "/missing"},
		dir + "/file":    {manifest.KindInvalid, "is no directory"},
		dir + "/full":    {manifest.KindInvalid, "is not empty"},
		m.Dir():          {manifest.KindBusy, "fuse.pinfs"},
		dir + "/link":    {manifest.KindBusy, "fuse.pinfs"},
		"/proc":          {manifest.KindBusy, "proc"},
	} {
		_, err := fusefs.Mount(t.Context(), path, fusefs.Options{Content: mem, Tree: tree})
		if manifest.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v (%v), want %v with %q", path, err, manifest.KindOf(err), want.kind, want.text)
		}
	}
	hidden := mountOn(t, dir+"/full", fusefs.Options{Content: mem, Tree: tree, NonEmpty: true})
	if got := list(t, hidden.Dir()); len(got) != 1 || got[0] != "f" {
		t.Errorf("mounted over a full directory: %q", got)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	mem := newMemory()
	tree := build(t, exact, "", mem.put("f", nil))
	s := newShelf(t)
	for _, o := range []fusefs.Options{{}, {Content: mem}, {Tree: tree}, {Content: mem, Tree: tree, Names: s}} {
		if _, err := fusefs.Mount(t.Context(), t.TempDir(), o); manifest.KindOf(err) != manifest.KindInvalid {
			t.Errorf("%+v: %v, want KindInvalid", o, err)
		}
	}
}

func TestOddNamesOfMountPoints(t *testing.T) {
	mem := newMemory()
	tree := build(t, exact, "", mem.put("f", []byte("x")))
	dir := filepath.Join(t.TempDir(), "a b\tc\\d,é\nf")
	must(t, os.Mkdir(dir, 0o755))
	m := mountOn(t, dir, fusefs.Options{Content: mem, Tree: tree, FSName: "vision/mnist:v0, the best"})
	if got, err := os.ReadFile(dir + "/f"); string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	must(t, m.Unmount(t.Context(), false))
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("after unmounting: %q", got)
	}
}

func TestOwner(t *testing.T) {
	mem := newMemory()
	uid, gid := uint32(1234), uint32(2345)
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", nil)), UID: &uid, GID: &gid})
	for _, path := range []string{"", "/f"} {
		var st unix.Stat_t
		must(t, unix.Stat(m.Dir()+path, &st))
		if st.Uid != uid || st.Gid != gid {
			t.Errorf("%q is owned by %d:%d", path, st.Uid, st.Gid)
		}
	}
}

func TestReadAheadIsRaised(t *testing.T) {
	mem := newMemory()
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", nil)), ReadAheadKiB: 2048})
	var st unix.Stat_t
	must(t, unix.Stat(m.Dir(), &st))
	got, err := os.ReadFile(fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev)))
	must(t, err)
	if os.Geteuid() == 0 && strings.TrimSpace(string(got)) != "2048" {
		t.Errorf("read_ahead_kb is %s, want 2048", got)
	}
}

func TestUnmountWhileBusy(t *testing.T) {
	data := random(1, 5<<20)
	m, _ := mountFiles(t, map[string][]byte{"f": data})
	file, err := os.Open(m.Dir() + "/f")
	must(t, err)
	defer file.Close()
	err = fusefs.Unmount(t.Context(), m.Dir(), false)
	if manifest.KindOf(err) != manifest.KindBusy || !strings.Contains(err.Error(), "--lazy") {
		t.Fatalf("%v, want KindBusy with a hint", err)
	}
	must(t, m.Unmount(t.Context(), true))
	if got := list(t, m.Dir()); len(got) != 0 {
		t.Errorf("still mounted: %q", got)
	}
	got := make([]byte, len(data))
	if _, err := file.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the open file can't be read any more: %v", err)
	}
	file.Close()
	select {
	case <-m.Done():
	case <-time.After(10 * time.Second):
		t.Error("the mount goes on after its last file was closed")
	}
}

func TestUnmountWhatIsNot(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/proc", "/nowhere"} {
		if err := fusefs.Unmount(t.Context(), dir, false); manifest.KindOf(err) != manifest.KindInvalid {
			t.Errorf("%s: %v, want KindInvalid", dir, err)
		}
	}
}

func TestUnmountByOthersEndsTheMount(t *testing.T) {
	m, _ := mountFiles(t, map[string][]byte{"f": nil})
	must(t, unix.Unmount(m.Dir(), 0))
	m.Wait()
}

// A daemon that was killed leaves a mount that answers ENOTCONN, and from the
// kernel's caches still gives attributes.
func TestDeadMountIsReplaced(t *testing.T) {
	conn, dir := own(t)
	worker := startWorker(t, conn, dir, 0)
	_ = list(t, dir+"/mnt")
	if _, err := os.Stat(dir + "/mnt"); err != nil {
		t.Fatal(err)
	}
	must(t, worker.Process.Kill())
	_ = worker.Wait()
	must(t, conn.Close())
	if _, err := os.Stat(dir + "/mnt/missing"); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("%v: the mount is not dead, the test shows nothing", err)
	}
	mem, log := newMemory(), &buffer{}
	tree := build(t, exact, "", mem.put("f", []byte("x")))
	m := mountOn(t, dir+"/mnt", fusefs.Options{Content: mem, Tree: tree, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if got, err := os.ReadFile(m.Dir() + "/f"); string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if !strings.Contains(log.String(), "detaching") {
		t.Errorf("the log does not say it: %s", log)
	}
	must(t, m.Unmount(t.Context(), false))
	if got := list(t, dir+"/mnt"); len(got) != 0 {
		t.Errorf("something is still mounted: %q", got)
	}
}

// A daemon that hangs can still be unmounted by force.
func TestLazyUnmountOfAHangingDaemon(t *testing.T) {
	conn, dir := own(t)
	worker := startWorker(t, conn, dir, 0)
	must(t, worker.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := fusefs.Mount(ctx, dir+"/mnt", fusefs.Options{Content: newMemory(), Tree: open(t, dir+"/snapshot", "a:v0", "d")}); manifest.KindOf(err) != manifest.KindBusy {
		t.Errorf("mount over it: %v, want KindBusy", err)
	}
	must(t, fusefs.Unmount(ctx, dir+"/mnt", true))
	if got := list(t, dir+"/mnt"); len(got) != 0 {
		t.Errorf("something is still mounted: %q", got)
	}
	must(t, conn.Close())
	must(t, worker.Process.Kill())
	_ = worker.Wait()
}

func TestConnectionIsNotInherited(t *testing.T) {
	m, _ := mountFiles(t, map[string][]byte{"f": nil})
	_ = m
	out, err := testwarden.Command(t.Context(), "ls", "-l", "/proc/self/fd").Output()
	must(t, err)
	if strings.Contains(string(out), "/dev/fuse") {
		t.Errorf("a child has the connection:\n%s", out)
	}
}

// nobody is the user of the tests without root.
const nobody = 65534

// asNobody runs a role of this test program as a user without rights, in a mount
// namespace where users may open /dev/fuse, as udev lets them.
func asNobody(t *testing.T, role, dir string) (string, error) {
	t.Helper()
	exe, err := os.ReadFile("/proc/self/exe") // its directory is closed to others
	must(t, err)
	must(t, os.WriteFile(dir+"/test", exe, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, dir+"/test")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE=device", "FUSEFS_TEST_NEXT="+role, "FUSEFS_TEST_PATH="+dir)
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// openDevice puts a device that all may open over /dev/fuse and goes on as nobody.
func openDevice() error {
	var st unix.Stat_t
	if err := unix.Stat("/dev/fuse", &st); err != nil {
		return err
	}
	device := os.Getenv("FUSEFS_TEST_PATH") + "/fuse"
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(st.Rdev)); err != nil {
		return err
	}
	if err := os.Chmod(device, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(device, "/dev/fuse", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	cmd := exec.Command(os.Getenv("FUSEFS_TEST_PATH") + "/test")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE="+os.Getenv("FUSEFS_TEST_NEXT"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd.Run()
}

// ownDir makes a directory that nobody owns.
func ownDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fusefs")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Mkdir(dir+"/mnt", 0o755))
	must(t, os.Mkdir(dir+"/roots", 0o755))
	for _, d := range []string{dir, dir + "/mnt"} {
		if os.Geteuid() == 0 {
			must(t, os.Chown(d, nobody, nobody))
		}
	}
	return dir
}

func TestMountWithoutRoot(t *testing.T) {
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Fatalf("%v: install fuse3", err)
	}
	dir := ownDir(t)
	if os.Geteuid() != 0 { // then all other tests were without root
		return
	}
	if out, err := asNobody(t, "nobody", dir); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if m, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(m), dir) {
		t.Errorf("something is still mounted at %s", dir)
	}
}

// mountAsNobody is the child: it mounts, reads, is busy, unmounts.
func mountAsNobody() error {
	dir := os.Getenv("FUSEFS_TEST_PATH")
	mem, tree, err := tiny(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	yes := true
	_, err = fusefs.Mount(ctx, dir+"/mnt", fusefs.Options{Content: mem, Tree: tree, AllowOther: &yes})
	if conf, _ := os.ReadFile("/etc/fuse.conf"); !strings.Contains("\n"+string(conf), "\nuser_allow_other") {
		if manifest.KindOf(err) != manifest.KindDenied || !strings.Contains(err.Error(), "/etc/fuse.conf") {
			return fmt.Errorf("allow_other: %v, want KindDenied naming /etc/fuse.conf", err)
		}
	}
	if _, err := fusefs.Mount(ctx, dir+"/roots", fusefs.Options{Content: mem, Tree: tree}); manifest.KindOf(err) != manifest.KindDenied {
		return fmt.Errorf("mount on root's directory: %v, want KindDenied", err)
	}
	m, err := fusefs.Mount(ctx, dir+"/mnt", fusefs.Options{Content: mem, Tree: tree, FSName: "a,b\\c"})
	if err != nil {
		return err
	}
	if err := pollOnce(dir + "/mnt"); err != nil {
		return err
	}
	file, err := os.Open(dir + "/mnt/f")
	if err != nil {
		return err
	}
	if err := m.Unmount(ctx, false); manifest.KindOf(err) != manifest.KindBusy {
		return fmt.Errorf("unmount while busy: %v, want KindBusy", err)
	}
	got, err := os.ReadFile(dir + "/mnt/f")
	if string(got) != "bytes" || err != nil {
		return fmt.Errorf("read %q, %v", got, err)
	}
	file.Close()
	return m.Unmount(ctx, false)
}
