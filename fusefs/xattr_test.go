package fusefs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"golang.org/x/sys/unix"
)

// xattrs gives all extended attributes of a path.
func xattrs(t testing.TB, path string) map[string]string {
	t.Helper()
	size, err := unix.Llistxattr(path, nil)
	must(t, err)
	list := make([]byte, size)
	_, err = unix.Llistxattr(path, list)
	must(t, err)
	all := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		size, err := unix.Lgetxattr(path, name, nil)
		must(t, err)
		value := make([]byte, size)
		_, err = unix.Lgetxattr(path, name, value)
		must(t, err)
		all[name] = string(value)
	}
	return all
}

func TestXattrs(t *testing.T) {
	mem := newMemory()
	e := mem.put("d/f", []byte("bytes"))
	tree := build(t, exact, "", e)
	m := mount(t, fusefs.Options{Content: mem, Tree: tree})
	file := m.Dir() + "/d/f"
	want := map[string]string{
		fusefs.XattrRef: "mem://b/d/f", fusefs.XattrDigest: e.Digest, fusefs.XattrPin: e.Object().Pin.String(),
		fusefs.XattrArtifact: "vision/mnist:v0", fusefs.XattrCached: "5", fusefs.XattrVerified: "1",
	}
	checkXattrs(t, file, want)
	checkXattrs(t, m.Dir()+"/d", map[string]string{fusefs.XattrArtifact: "vision/mnist:v0"})
	checkXattrs(t, m.Dir(), map[string]string{fusefs.XattrArtifact: "vision/mnist:v0", fusefs.XattrDigest: tree.Snapshot.Summary().Digest})
	mem.fail("mem://b/d/f", errors.New("it broke"))
	want[fusefs.XattrVerified], want[fusefs.XattrError] = "0", "it broke"
	checkXattrs(t, file, want)
}

func TestUnpinnedXattr(t *testing.T) {
	mem := newMemory()
	found := mem.put("found/f", []byte("bytes"))
	tree := build(t, exact, "", found, mem.put("kept", []byte("x")))
	tree.Unpinned = func(path string) string {
		if strings.HasPrefix(path, "found") {
			return "mem://b/found"
		}
		return ""
	}
	m := mount(t, fusefs.Options{Content: mem, Tree: tree})
	for path, want := range map[string]string{"/found": "mem://b/found", "/found/f": "mem://b/found", "/kept": "", "": ""} {
		if got := xattrs(t, m.Dir()+path)[fusefs.XattrUnpinned]; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func checkXattrs(t *testing.T, path string, want map[string]string) {
	t.Helper()
	got := xattrs(t, path)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s of %s: %q, want %q", name, path, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s has %v, want %v", path, got, want)
	}
}

func TestXattrErrors(t *testing.T) {
	m, _ := mountFiles(t, map[string][]byte{"f": []byte("x")})
	file := m.Dir() + "/f"
	small := make([]byte, 3)
	if _, err := unix.Getxattr(file, fusefs.XattrRef, small); err != unix.ERANGE {
		t.Errorf("small buffer: %v, want ERANGE", err)
	}
	if _, err := unix.Listxattr(file, small); err != unix.ERANGE {
		t.Errorf("small list: %v, want ERANGE", err)
	}
	for name, want := range map[string]unix.Errno{
		fusefs.XattrError: unix.ENODATA, "user.other": unix.ENODATA,
		"security.capability": unix.ENOTSUP, "security.selinux": unix.ENOTSUP, "system.posix_acl_access": unix.ENOTSUP,
	} {
		for range 2 { // a second time: the first did not turn them off
			if _, err := unix.Getxattr(file, name, make([]byte, 100)); err != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	}
	if n, err := unix.Getxattr(file, fusefs.XattrRef, make([]byte, 100)); n != len("mem://b/f") {
		t.Errorf("after the errors: %d, %v", n, err)
	}
}

func TestXattrsOfNames(t *testing.T) {
	s, mem := museum(t)
	m := mount(t, fusefs.Options{Content: mem, Names: s})
	for _, path := range []string{"", "/vision", "/vision/mnist:latest"} {
		checkXattrs(t, m.Dir()+path, nil)
	}
	if got := xattrs(t, m.Dir()+"/vision/mnist:v1"); !slices.Contains([]string{"vision/mnist:v1"}, got[fusefs.XattrArtifact]) {
		t.Errorf("version has %v", got)
	}
}
