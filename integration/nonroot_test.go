package integration_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/testwarden"
)

// nobody is the user that runs the command, and its group.
const nobody = 65534

// guest is a host whose commands run as nobody, in a mount namespace in which
// /dev/fuse is as udev makes it, for all users, and /etc/fuse.conf allows nothing.
type guest struct {
	*host
	namespace string // pid of a process in it
}

const enterNamespace = leaveOthers + `
set -e
mknod -m 666 "$1/fuse" c 10 229
chmod 666 "$1/fuse"
mount --bind "$1/fuse" /dev/fuse
: >"$1/fuse.conf"
mount --bind "$1/fuse.conf" /etc/fuse.conf
echo ready
exec sleep 1000000`

func newGuest(t *testing.T) *guest {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can run the command as another user: run the tests as root")
	}
	h := newHost(t)
	for _, dir := range []string{h.dir, filepath.Dir(h.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(h.dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	namespace := newNamespace(t, enterNamespace, h.dir)
	// Everything at its default, which is below HOME.
	guest := &guest{h.with("HOME="+home, "PINFS_REGISTRY=", "PINFS_CACHE_DIR=", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=", "XDG_DATA_HOME="), namespace}
	guest.host.dir = home
	guest.host.enter = []string{"nsenter", "--target", guest.namespace, "--mount", "--setuid", itoa(nobody), "--setgid", itoa(nobody)}
	return guest
}

// root runs a program as root, in the namespace.
func (g *guest) root(name string, args ...string) (string, error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := testwarden.Command(ctx, "nsenter", append([]string{"--target", g.namespace, "--mount", name}, args...)...).CombinedOutput()
	return string(out), err
}

// user runs a program as nobody, in the namespace.
func (g *guest) user(name string, args ...string) string {
	g.t.Helper()
	return program(g.t, "/", g.enter[0], append(append([]string{}, g.enter[1:]...), append([]string{name}, args...)...)...)
}

// TestWithoutRoot: an ordinary user tracks, mounts, reads and unmounts, with
// nothing configured; the mount is the user's alone, even for root.
func TestWithoutRoot(t *testing.T) {
	g := newGuest(t)
	g.user("mkdir", "-p", g.dir+"/data/sub", g.dir+"/mnt", g.dir+"/other")
	g.user("sh", "-c", "echo content >"+g.dir+"/data/sub/file; echo second >"+g.dir+"/data/sub/second")
	if p := g.put("mine", g.dir+"/data"); p.Version != "v0" || !p.New || p.Files != 2 {
		t.Errorf("put: %+v", p)
	}
	mnt := g.dir + "/mnt"
	g.must("mount", "mine:v0", mnt)
	if got := g.user("cat", mnt+"/sub/file"); got != "content\n" {
		t.Errorf("reads %q", got)
	}
	if got := g.user("stat", "-c", "%u %g %a", mnt+"/sub/file"); got != "65534 65534 444\n" {
		t.Errorf("owner and mode: %s", got)
	}
	s := g.status()
	if s.Daemon.PID == 0 || len(s.Mounts) != 1 || s.Mounts[0].Dir != mnt || s.Mounts[0].Ref != "default/mine:v0" {
		t.Errorf("status: %+v", s)
	}
	// Without allow_other the kernel lets nobody else in, root included.
	if out, err := g.root("cat", mnt+"/sub/file"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("root reads %q, %v; want EACCES", out, err)
	}
	for _, dir := range []string{".cache/pinfs", ".local/share/pinfs/registry"} {
		if got := g.user("stat", "-c", "%U", g.dir+"/"+dir); got != "nobody\n" {
			t.Errorf("%s belongs to %s", dir, got)
		}
	}
	g.user("kill", "-9", itoa(s.Daemon.PID))
	if got := g.user("cat", mnt+"/sub/second"); got != "second\n" {
		t.Errorf("reads %q after the daemon was killed", got)
	}
	if s = g.status(); s.Daemon.PID == 0 || len(s.Mounts) != 1 {
		t.Errorf("status after the daemon was killed: %+v", s)
	}
	wantOneLine(t, g.run("mount", "mine:v0", g.dir+"/other", "--allow-other"), 4, "user_allow_other", "/etc/fuse.conf")
	if _, err := g.root("mkdir", g.dir+"/roots"); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, g.run("mount", "mine:v0", g.dir+"/roots"), 4, g.dir+"/roots")
	g.must("umount", mnt)
	if g.status().Daemon.PID != 0 || alive(s.Daemon.PID) {
		t.Errorf("the daemon is still there: %+v", g.status())
	}
	if out, err := g.root("grep", "pinfs "+g.dir, "/proc/self/mounts"); err == nil {
		t.Errorf("still mounted: %s", out)
	}
}
