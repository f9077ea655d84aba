package filestore_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// ruled is a store by rules.
func ruled(t testing.TB, o backends.RulesOptions) *filestore.Store {
	t.Helper()
	r, err := backends.NewRules(o)
	if err != nil {
		t.Fatal(err)
	}
	return filestore.NewWith(filestore.Options{Rules: r})
}

// foreign is an object as a manifest from elsewhere may name it.
func foreign(path string) manifest.Object {
	e := manifest.Entry{Path: "x", Ref: "file://" + path, Digest: digest([]byte("data")), Size: manifest.SizeUnknown}
	return e.Object()
}

func TestLinksThatLeaveTheRules(t *testing.T) {
	top := t.TempDir()
	write(t, top+"/root/a", "data")
	write(t, top+"/root/dir/b", "data")
	write(t, top+"/outside/secret", "data")
	write(t, top+"/other/c", "data")
	for from, to := range map[string]string{
		"inside": top + "/root/a", "relative": "dir/b", "up": "../root/a", "other": top + "/other/c", "dirlink": "dir",
		"secret": top + "/outside/secret", "relsecret": "../outside/secret", "outdir": top + "/outside", "chain": "secret",
		"etc": "/etc/hostname", "environ": "/proc/self/environ", "zero": "/dev/zero", "tty": "/dev/tty", "magic": "/proc/self/root" + top + "/outside/secret",
	} {
		must(t, os.Symlink(to, top+"/root/"+from))
	}
	must(t, os.Symlink("root", top+"/alias"))
	s := ruled(t, backends.RulesOptions{Allow: []string{"file://" + top + "/alias", "file://" + top + "/root", "file://" + top + "/other/"}})
	for _, path := range []string{"root/a", "root/inside", "root/relative", "root/up", "root/other", "root/dirlink/b", "alias/a", "alias/inside", "root/dir/../a"} {
		if got, err := read(t, s, foreign(top+"/"+path)); got != "data" || err != nil {
			t.Errorf("%s: got %q, %v, want the data", path, got, err)
		}
	}
	for _, path := range []string{"root/secret", "root/relsecret", "root/outdir/secret", "root/chain", "root/etc", "root/environ", "root/zero", "root/tty",
		"root/magic", "root/outdir/../outside/secret", "outside/secret"} {
		obj := foreign(top + "/" + path)
		_, err := read(t, s, obj)
		wantErr(t, err, manifest.KindDenied, obj.Ref, "leads elsewhere", "--allow")
		_, err = s.Stat(t.Context(), obj)
		wantErr(t, err, manifest.KindDenied)
		_, err = s.Digest(t.Context(), backends.Info{Ref: obj.Ref})
		wantErr(t, err, manifest.KindDenied)
	}
	byDefault := ruled(t, backends.RulesOptions{Private: []string{top + "/outside"}})
	for _, path := range []string{"secret", "chain", "etc", "environ", "zero", "magic"} {
		_, err := read(t, byDefault, foreign(top+"/root/"+path))
		wantErr(t, err, manifest.KindDenied)
	}
}

// TestRulesReadNoDevices: what is no file is not opened, only looked at.
func TestRulesReadNoDevices(t *testing.T) {
	top := t.TempDir()
	must(t, syscall.Mkfifo(top+"/fifo", 0o644))
	l, err := net.Listen("unix", top+"/socket")
	must(t, err)
	defer l.Close()
	must(t, os.Mkdir(top+"/dir", 0o755))
	s := ruled(t, backends.RulesOptions{})
	for name, what := range map[string]string{"fifo": "a FIFO", "socket": "a socket", "dir": "a directory"} {
		_, err := read(t, s, foreign(top+"/"+name))
		wantErr(t, err, manifest.KindChanged, "but found '"+what+"'")
	}
	fd, err := syscall.Open(top+"/fifo", syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		must(t, syscall.Close(fd))
		t.Error("somebody holds the FIFO open for reading")
	}
}

func TestListsByRules(t *testing.T) {
	top := t.TempDir()
	write(t, top+"/root/a/x", "data")
	write(t, top+"/root/key", "data")
	must(t, os.Symlink(top+"/root", top+"/link"))
	s := ruled(t, backends.RulesOptions{Private: []string{top + "/root/key"}})
	_, err := names(t, s, "file://"+top+"/root")
	wantErr(t, err, manifest.KindDenied, "file://"+top+"/root/key")
	if got, err := names(t, s, "file://"+top+"/root/a"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want one file", got, err)
	}
	s = ruled(t, backends.RulesOptions{Allow: []string{"file://" + top + "/link"}})
	if got, err := names(t, s, "file://"+top+"/link/a"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want one file", got, err)
	}
	must(t, os.Symlink("/etc", top+"/root/etc"))
	must(t, os.Symlink("/etc/passwd", top+"/root/passwd"))
	for _, name := range []string{"etc", "passwd"} {
		_, err = names(t, s, "file://"+top+"/link/"+name)
		wantErr(t, err, manifest.KindDenied, "file://"+top+"/link/"+name+":", "leads elsewhere")
	}
}

// TestLinkThatMovesMeanwhile: a link turns between a file that may be read and one
// that may not, as fast as it can.
func TestLinkThatMovesMeanwhile(t *testing.T) {
	top := t.TempDir()
	write(t, top+"/root/good", "data")
	write(t, top+"/secret", "evil")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			to := []string{top + "/root/good", top + "/secret"}[i%2]
			_ = os.Symlink(to, top+"/root/.new")
			_ = os.Rename(top+"/root/.new", top+"/root/link")
		}
	})
	defer wg.Wait()
	defer stop()
	s := ruled(t, backends.RulesOptions{Allow: []string{"file://" + top + "/root"}})
	good, refused := 0, 0
	for i := 0; i < 1_000_000 && (good < 100 || refused < 100); i++ {
		got, err := read(t, s, foreign(top+"/root/link"))
		switch {
		case err == nil && got == "data":
			good++
		case manifest.KindOf(err) == manifest.KindDenied:
			refused++
		case manifest.KindOf(err) == manifest.KindGone: // before the first link
		default:
			t.Fatalf("got %q, %v, want the data or a refusal", got, err)
		}
	}
	if good == 0 || refused == 0 {
		t.Errorf("got %d reads and %d refusals, want both", good, refused)
	}
}

// TestNothingOutsideIsRead: in a random tree with links, what is read by its path is a
// file below the root, by the kernel's own word.
func TestNothingOutsideIsRead(t *testing.T) {
	part := rapid.SampledFrom([]string{"root", "out", "a", "b", "l", "m", "..", "."})
	rapid.Check(t, func(t *rapid.T) {
		top, err := os.MkdirTemp("", "rules")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(top) //nolint:errcheck // a temporary one
		for _, dir := range []string{"root/a/b", "out/a/b"} {
			_ = os.MkdirAll(top+"/"+dir, 0o755)
			_ = os.WriteFile(top+"/"+dir+"/f", []byte(dir[:1]), 0o644)
		}
		path := func(name string) string { return strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, name), "/") }
		for _, at := range []string{"root/l", "root/a/m", "out/l", "root/a/b/l"} {
			to := path("target")
			if rapid.Bool().Draw(t, "absolute") {
				to = top + "/" + to
			}
			_ = os.Symlink(to, top+"/"+at)
		}
		s := ruledIn(top + "/root")
		p := top + "/" + path("path") + "/f"
		body, _, err := s.Open(context.Background(), foreign(p), 0, -1)
		if err != nil {
			return
		}
		data, _ := io.ReadAll(body)
		_ = body.Close()
		real, err := filepath.EvalSymlinks(p)
		if err != nil || !strings.HasPrefix(real, top+"/root/") || string(data) != "r" {
			t.Fatalf("%s was read: %q of %s", p, data, real)
		}
	})
}

func ruledIn(root string) *filestore.Store {
	r, err := backends.NewRules(backends.RulesOptions{Allow: []string{"file://" + root}})
	if err != nil {
		panic(err)
	}
	return filestore.NewWith(filestore.Options{Rules: r})
}

// TestMountsOfPinfs: a file on one is not read for another, which might be itself.
func TestMountsOfPinfs(t *testing.T) {
	const shm = "/dev/shm" // has no device of its own
	dir, err := os.MkdirTemp(shm, "rules")
	must(t, err)
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary one
	write(t, dir+"/a", "data")
	var st syscall.Stat_t
	must(t, syscall.Stat(dir, &st))
	line := func(kind string) string {
		return fmt.Sprintf("45 27 %d:%d / %s ro,nosuid shared:1 - %s pinfs ro\n", unix.Major(st.Dev), unix.Minor(st.Dev), shm, kind)
	}
	s := ruled(t, backends.RulesOptions{})
	s.SetTable("1 2 8:1 / / rw - fuse.pinfs x rw\nodd line\n" + line("tmpfs"))
	if got, err := read(t, s, foreign(dir+"/a")); got != "data" || err != nil {
		t.Errorf("got %q, %v, want the data", got, err)
	}
	s = ruled(t, backends.RulesOptions{Allow: []string{"file://" + dir}})
	s.SetTable("1 2 8:1 / / rw - ext4 x rw\n" + line("fuse.pinfs"))
	_, err = read(t, s, foreign(dir+"/a"))
	wantErr(t, err, manifest.KindDenied, "a mount of pinfs")
	_, err = names(t, s, "file://"+dir)
	wantErr(t, err, manifest.KindDenied, "a mount of pinfs")
	top := t.TempDir()
	must(t, os.Symlink(dir+"/a", top+"/link"))
	must(t, os.Symlink(dir, top+"/dirlink"))
	s = ruled(t, backends.RulesOptions{})
	s.SetTable(line("fuse.pinfs"))
	s.SetBefore(func(op, path string) error { // to look at it may mean to wait
		if op == "open" || strings.HasPrefix(path, shm) && path != dir { // where dirlink leads
			t.Errorf("%s of %s", op, path)
		}
		return nil
	})
	for _, path := range []string{dir + "/a", top + "/link", top + "/dirlink/a", dir + "/none/x"} {
		_, err = read(t, s, foreign(path))
		wantErr(t, err, manifest.KindDenied, "a mount of pinfs")
	}
	own := filestore.New() // what a user names himself
	own.SetTable(line("fuse.pinfs"))
	if got, err := read(t, own, foreign(dir+"/a")); got != "data" || err != nil {
		t.Errorf("got %q, %v, want the data", got, err)
	}
}
