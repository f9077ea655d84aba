package daemon_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func TestMountsOfAllShapes(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one", "odd name +%#?ü/y": "two"})
	h.put("p", "a", map[string]string{"x": "three"})
	h.put("q", "b", map[string]string{"z": "four"})
	d := h.daemon()
	for _, c := range []struct{ ref, shown, path, want string }{
		{"p/a:v1", "p/a:v1", "x", "three"},
		{"p/a", "p/a:v1", "x", "three"},
		{"p", "p", "a:v0/odd name +%#?ü/y", "two"},
		{"p", "p", "a:latest/x", "three"},
		{"", "", "q/b:v0/z", "four"},
	} {
		req := h.request(c.ref)
		reply, err := d.Mount(context.Background(), req)
		must(t, err)
		if reply.Ref != c.shown || reply.PID != os.Getpid() || reply.MountPoint != req.Dir {
			t.Errorf("mount %q: got %+v, want ref %q", c.ref, reply, c.shown)
		}
		// "x" of v0 was overwritten in the source; v1's is what the source has.
		if got := read(t, filepath.Join(req.Dir, c.path)); got != c.want {
			t.Errorf("mount %q: %s is %q, want %q", c.ref, c.path, got, c.want)
		}
	}
	if n := len(d.Status().Mounts); n != 5 {
		t.Errorf("got %d mounts in the status, want 5", n)
	}
}

func TestMountRefuses(t *testing.T) {
	h := newHouse(t)
	h.put("p", "mnist", map[string]string{"x": "one"})
	d := h.daemon()
	file := filepath.Join(h.dir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	at := func(dir string) daemon.MountRequest {
		r := h.request("p/mnist:v0")
		r.Dir = dir
		return r
	}
	for _, c := range []struct {
		name  string
		req   daemon.MountRequest
		kind  manifest.Kind
		words string
	}{
		{"missing directory", at(h.cache + "/no/such"), manifest.KindInvalid, "no such directory"},
		{"file", at(file), manifest.KindInvalid, "directory"},
		{"relative", at("relative"), manifest.KindInvalid, "absolute"},
		{"unclean", at("/tmp/../tmp"), manifest.KindInvalid, "clean"},
		{"not empty", at(filepath.Dir(file)), manifest.KindInvalid, "not empty"},
		{"no artifact", h.request("p/mnits"), manifest.KindNotFound, "mnist"},
		{"no version", h.request("p/mnist:v7"), manifest.KindNotFound, "v7"},
		{"no project", h.request("nosuch"), manifest.KindNotFound, "nosuch"},
		{"bad name", h.request("p/a:b:c"), manifest.KindInvalid, ""},
		{"no registry", daemon.MountRequest{Dir: h.dir()}, manifest.KindInvalid, "registry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Mount(context.Background(), c.req)
			wantKind(t, err, c.kind, c.words)
		})
	}
	if s := d.Status(); len(s.Mounts) != 0 {
		t.Errorf("mounts after failures: %+v", s.Mounts)
	}
}

func TestMountPointTakenTwice(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	req := h.request("p/a:v0")
	_, err := d.Mount(context.Background(), req)
	must(t, err)
	_, err = d.Mount(context.Background(), req)
	wantKind(t, err, manifest.KindBusy, req.Dir, "p/a:v0", "pinfs umount")
	must(t, d.Unmount(req.Dir, false))
	_, err = d.Mount(context.Background(), req)
	must(t, err)
}

func TestOtherSettingsAreRefused(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	o := h.options(filestore.New())
	o.Settings = daemon.Settings{"s3-endpoint": "http://one", "s3-region": "r"}
	d, err := daemon.New(o)
	must(t, err)
	defer d.Close(context.Background())
	req := h.request("p/a:v0")
	req.Settings = daemon.Settings{"s3-endpoint": "http://two", "s3-region": "r"}
	_, err = d.Mount(context.Background(), req)
	wantKind(t, err, manifest.KindBusy, "s3-endpoint", "http://one", "http://two", "--cache-dir", h.cache)
	if strings.Contains(err.Error(), "s3-region") {
		t.Errorf("error %q names what does not differ", err)
	}
	req.Settings = daemon.Settings{"s3-endpoint": "http://one", "s3-region": "r"}
	_, err = d.Mount(context.Background(), req)
	must(t, err)
}

func TestRegistriesMayDiffer(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	other.put("p", "a", map[string]string{"x": "two"})
	d := h.daemon()
	first, second := h.request("p/a:v0"), other.request("p/a:v0")
	for _, req := range []daemon.MountRequest{first, second} {
		_, err := d.Mount(context.Background(), req)
		must(t, err)
	}
	if a, b := read(t, first.Dir+"/x"), read(t, second.Dir+"/x"); a != "one" || b != "two" {
		t.Errorf("got %q and %q, want one and two", a, b)
	}
}

func TestUnmountBusyAndLazy(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	req := h.request("p/a:v0")
	_, err := d.Mount(context.Background(), req)
	must(t, err)
	f := openFile(t, req.Dir+"/x")
	wantKind(t, d.Unmount(req.Dir, false), manifest.KindBusy, req.Dir)
	must(t, d.Unmount(req.Dir, true))
	if isMounted(req.Dir) {
		t.Error("still mounted after a lazy unmount")
	}
	if m := d.Status().Mounts; len(m) != 1 || !m[0].Detached {
		t.Errorf("status after a lazy unmount: %+v", m)
	}
	_, err = d.Mount(context.Background(), req) // the place is free
	must(t, err)
	buf := make([]byte, 3)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "one" {
		t.Errorf("the last user reads %q, %v", buf, err)
	}
	must(t, f.Close())
	eventually(t, "the detached mount ends", func() bool { return len(d.Status().Mounts) == 1 })
	wantKind(t, d.Unmount(h.dir(), false), manifest.KindNotFound)
}

func TestCloseTakesBusyMountsOutOfSight(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one", "y": "two"})
	d, err := daemon.New(h.options(filestore.New()))
	must(t, err)
	req := h.request("p/a:v0")
	_, err = d.Mount(context.Background(), req)
	must(t, err)
	f := openFile(t, req.Dir+"/x")
	defer f.Close()
	must(t, d.Close(context.Background()))
	if isMounted(req.Dir) {
		t.Error("still mounted after Close")
	}
	if _, err := f.Stat(); err != nil && !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("stat of a file of a closed daemon: %v", err)
	}
}

func TestFaultsAreRemembered(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"dir/x": "one", "y": "two"})
	h.put("p", "a", map[string]string{"dir/x": "ONE", "y": "two"})
	d := h.daemon()
	req := h.request("p/a:v0")
	_, err := d.Mount(context.Background(), req)
	must(t, err)
	path := req.Dir + "/dir/x"
	for range 3 {
		if data, err := readFile(t, path); err == nil {
			t.Fatalf("a changed source was read: %q", data)
		}
	}
	if got := read(t, req.Dir+"/y"); got != "two" {
		t.Errorf("y is %q, want two", got)
	}
	eventually(t, "y is kept", func() bool { return d.Status().Cache.Objects == 1 })
	s := d.Status()
	if len(s.Errors) != 1 {
		t.Fatalf("got %d errors, want the last of one object: %+v", len(s.Errors), s.Errors)
	}
	f := s.Errors[0]
	if f.Path != path || !strings.HasSuffix(f.Ref, "/dir/x") || f.Errno == "" || !strings.Contains(f.Message, "Digest mismatch") || f.Time.IsZero() {
		t.Errorf("fault %+v", f)
	}
	if len(s.Backends) != 1 || s.Backends[0].Scheme != "file" || s.Backends[0].Requests == 0 {
		t.Errorf("backends %+v", s.Backends)
	}
	if s.Cache.Dir != h.cache || s.Cache.Limit != 64<<20 || s.Cache.Objects != 1 || s.Daemon.PID != os.Getpid() || s.Daemon.Version != "test" {
		t.Errorf("status %+v, daemon %+v", s, s.Daemon)
	}
}

func TestAliasMovesUnderAMount(t *testing.T) {
	h := newHouse(t)
	h.put("p", "a", map[string]string{"x": "one"})
	d := h.daemon()
	req := h.request("p")
	_, err := d.Mount(context.Background(), req)
	must(t, err)
	if link, err := os.Readlink(req.Dir + "/a:latest"); err != nil || link != "a:v0" {
		t.Errorf("a:latest is %q, %v", link, err)
	}
	h.put("p", "a", map[string]string{"w": "two"})
	eventually(t, "latest moves", func() bool {
		link, err := os.Readlink(req.Dir + "/a:latest")
		return err == nil && link == "a:v1"
	})
	entries, err := os.ReadDir(req.Dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"a:latest", "a:v0", "a:v1"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	for _, name := range []string{"a", "a:v9", "a:nosuch", "b:v0", ".git", "a:v0:x"} {
		if _, err := os.Lstat(filepath.Join(req.Dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want ENOENT", name, err)
		}
	}
}
