package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// wantNoTemporaries: nothing that a command was building is left in the registry.
func wantNoTemporaries(t *testing.T, h *host) {
	t.Helper()
	for _, path := range strings.Split(registryFiles(t, h), "\n") {
		if strings.HasPrefix(path, "/.tmp/") {
			t.Errorf("left in the registry: %s", path)
		}
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "registry/.tmp/*")); err != nil || len(left) > 0 {
		t.Errorf("left in the registry: %v, %v", left, err)
	}
}

// TestConcurrentPuts: processes that track different content at once make a
// version each, without a gap; those that track equal content make one.
func TestConcurrentPuts(t *testing.T) {
	const n = 16
	h, top := newHost(t), t.TempDir()
	for i := range n {
		write(t, filepath.Join(top, itoa(i), "file"), "content "+itoa(i))
	}
	digests := map[string]string{}
	for i, r := range h.allAtOnce(n, func(i int) []string {
		return []string{"--json", "put", "--name", "race/different", "--type", "dataset", filepath.Join(top, itoa(i))}
	}) {
		p := decodePut(t, r)
		if !p.New || digests[p.Version] != "" {
			t.Errorf("put %d: %+v, want a new version of its own", i, p)
		}
		digests[p.Version] = p.Digest
	}
	wantVersions(t, h, "race/different", digests, n)
	same := map[string]string{}
	made := 0
	for _, r := range h.allAtOnce(n, func(int) []string {
		return []string{"--json", "put", "--name", "race/equal", "--type", "dataset", filepath.Join(top, "0")}
	}) {
		p := decodePut(t, r)
		same[p.Version] = p.Digest
		if p.New {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d of %d puts of equal content say that they made a version, want 1", made, n)
	}
	wantVersions(t, h, "race/equal", same, 1)
	wantNoTemporaries(t, h)
}

func decodePut(t *testing.T, r result) (p put) {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("put: exit %d: %s", r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatalf("put: %v: %s", err, r.stdout)
	}
	return p
}

// wantVersions: the artifact has the versions v0 to v(n-1) with these digests.
func wantVersions(t *testing.T, h *host, name string, digests map[string]string, n int) {
	t.Helper()
	list := h.versionsOf(name)
	if len(list) != n || len(digests) != n {
		t.Errorf("%s has %d versions and the puts tell of %d, want %d", name, len(list), len(digests), n)
	}
	for i, v := range list {
		if v.Version != "v"+itoa(i) || v.Digest != digests[v.Version] || v.Digest == "" {
			t.Errorf("version %d of %s: %+v, want digest %s", i, name, v, digests["v"+itoa(i)])
		}
	}
}

type listedVersion struct{ Version, Digest string }

// versionsOf lists the versions of an artifact.
func (h *host) versionsOf(name string) (list []listedVersion) {
	h.t.Helper()
	h.json(&list, "ls", name)
	return list
}

// versions makes n versions of an artifact of one file.
func versions(t *testing.T, h *host, name string, n int) {
	t.Helper()
	top := t.TempDir()
	for i := range n {
		write(t, filepath.Join(top, itoa(i), "file"), "content "+itoa(i))
		h.put(name, filepath.Join(top, itoa(i)))
	}
}

func wantFile(t *testing.T, dir string, i int) {
	t.Helper()
	if got := read(t, filepath.Join(dir, "file")); string(got) != "content "+itoa(i) {
		t.Errorf("%s: version %d reads %q", dir, i, got)
	}
}

// mounted is what `pinfs mount --json` prints.
type mounted struct {
	Mountpoint string `json:"mountpoint"`
	PID        int    `json:"pid"`
}

func decodeMounted(t *testing.T, r result) (m mounted) {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("mount: exit %d: %s", r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil {
		t.Fatalf("mount: %v: %s", err, r.stdout)
	}
	return m
}

// TestConcurrentMounts: mounts that start at once without a daemon get one, and
// the last of the unmounts that come at once ends it.
func TestConcurrentMounts(t *testing.T) {
	const n = 8
	h := newHost(t)
	versions(t, h, "race/mount", n)
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = emptyDir(t)
	}
	for range 3 {
		pids := map[int]bool{}
		for i, r := range h.allAtOnce(n, func(i int) []string {
			return []string{"--json", "mount", fmt.Sprintf("race/mount:v%d", i), dirs[i]}
		}) {
			m := decodeMounted(t, r)
			pids[m.PID] = true
			wantFile(t, dirs[i], i)
		}
		if len(pids) != 1 || len(h.status().Mounts) != n {
			t.Errorf("daemons %v with %d mounts, want one with %d", pids, len(h.status().Mounts), n)
		}
		for i, r := range h.allAtOnce(n, func(i int) []string { return []string{"umount", dirs[i]} }) {
			if r.code != 0 || isMounted(t, dirs[i]) {
				t.Errorf("umount %d: exit %d: %s", i, r.code, r.stderr)
			}
		}
		for pid := range pids {
			if alive(pid) {
				t.Errorf("daemon %d still runs after the last unmount", pid)
			}
		}
	}
}

// TestMountWhileDaemonEnds: a mount that meets a daemon on its way out gets the next.
func TestMountWhileDaemonEnds(t *testing.T) {
	h := newHost(t)
	versions(t, h, "race/end", 2)
	dirs := []string{emptyDir(t), emptyDir(t)}
	first := decodeMounted(t, h.run("--json", "mount", "race/end:v0", dirs[0]))
	pids := map[int]bool{first.PID: true}
	for i := range 12 {
		old, next := i%2, (i+1)%2
		results := h.allAtOnce(2, func(which int) []string {
			if which == 0 {
				return []string{"umount", dirs[old]}
			}
			return []string{"--json", "mount", fmt.Sprintf("race/end:v%d", next), dirs[next]}
		})
		if r := results[0]; r.code != 0 {
			t.Fatalf("umount: exit %d: %s", r.code, r.stderr)
		}
		pids[decodeMounted(t, results[1]).PID] = true
		wantFile(t, dirs[next], next)
	}
	// The same after an unmount that the daemon learns of from the kernel only.
	for range 6 {
		if err := syscall.Unmount(dirs[0], 0); err != nil {
			t.Fatal(err)
		}
		pids[decodeMounted(t, h.run("--json", "mount", "race/end:v0", dirs[0])).PID] = true
		wantFile(t, dirs[0], 0)
	}
	h.must("umount", dirs[0])
	h.waitGone()
	if len(pids) < 3 {
		t.Errorf("only the daemons %v served: no mount met one that was ending", pids)
	}
}

// TestTwoDaemons: two cache directories, one registry.
func TestTwoDaemons(t *testing.T) {
	h := newHost(t)
	other := h.cacheAt("other-cache")
	versions(t, h, "race/two", 1)
	a, b := h.mount("race"), other.mount("race")
	if one, two := h.status().Daemon.PID, other.status().Daemon.PID; one == two || one == 0 || two == 0 {
		t.Errorf("daemons %d and %d, want two", one, two)
	}
	wantFile(t, filepath.Join(a, "two:v0"), 0)
	wantFile(t, filepath.Join(b, "two:v0"), 0)
	top := t.TempDir()
	write(t, filepath.Join(top, "file"), "content 1")
	h.put("race/two", top)
	for _, mnt := range []string{a, b} {
		wantFile(t, filepath.Join(mnt, "two:v1"), 1)
		names, err := os.ReadDir(mnt)
		if err != nil || len(names) != 3 || !slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == "two:v1" }) {
			t.Errorf("%s lists %v, %v", mnt, names, err)
		}
	}
	third := other.mount("race/two:v0")
	other.must("umount", third)
	wantFile(t, filepath.Join(a, "two:v0"), 0)
	other.must("mount", "race/two:v0", third) // so that the cleanup finds it
}

// TestHeldCacheDirectory: a second daemon in the foreground says who is there.
func TestHeldCacheDirectory(t *testing.T) {
	h := newHost(t)
	versions(t, h, "race/held", 1)
	mnt, dir := h.mount("race/held:v0"), emptyDir(t)
	pid := h.status().Daemon.PID
	wantOneLine(t, h.run("mount", "--foreground", "race/held:v0", dir), 1, itoa(pid), filepath.Join(h.dir, "cache"))
	if isMounted(t, dir) {
		t.Error("it mounted")
	}
	wantFile(t, mnt, 0)
	if got := h.status().Daemon.PID; got != pid {
		t.Errorf("the daemon is %d now, was %d", got, pid)
	}
}
