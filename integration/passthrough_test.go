package integration_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// modelSize is that of the large file of these tests, bytes.
const modelSize = 256 << 20

// newModel puts a version "open/model" on S3: one large file.
func newModel(t testing.TB, h *host, bucket string, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	if _, err := io.ReadFull(rand.Reader, data); err != nil {
		t.Fatal(err)
	}
	shared.s3.CreateBucket(t, bucket, true)
	shared.s3.PutMultipart(t, bucket, "m/model.bin", data, 64<<20)
	h.put("open/model", "s3://"+bucket+"/m")
	return data
}

// reads is how many reads of the only mount came to the daemon.
func (h *host) reads() uint64 {
	h.t.Helper()
	s := h.status()
	if len(s.Mounts) != 1 {
		h.t.Fatalf("mounts: %+v", s.Mounts)
	}
	return s.Mounts[0].Reads
}

// untilPassedThrough opens a complete file until what is read of it does not come to
// the daemon, as it is once the checks behind the first opens are done. The kernel
// keeps nothing of direct reads, so an ordinary open would ask.
func (h *host) untilPassedThrough(path string) {
	h.t.Helper()
	for range 300 {
		before := h.reads()
		program(h.t, "/", "dd", "if="+path, "of=/dev/null", "iflag=direct", "bs=1M", "count=1", "status=none")
		if h.reads() == before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Fatalf("%s: reads still come to the daemon", path)
}

// TestPassthrough: a model that was read once is read by the kernel alone, with the
// same bytes however it is read; so it is after a restart, and with strict
// verification.
func TestPassthrough(t *testing.T) {
	h := newHost(t)
	data := newModel(t, h, "passthrough", modelSize)
	want := filepath.Join(t.TempDir(), "want")
	if err := os.WriteFile(want, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h.passesThrough("auto", true, want, "cmp", "python3")
	h.with("PINFS_VERIFY=strict").passesThrough("passthrough", false, want, "cmp")
}

// passesThrough mounts the model and compares it with the file want.
func (h *host) passesThrough(open string, cold bool, want string, programs ...string) {
	h.t.Helper()
	mnt, umount := h.mountUntil("--open="+open, "open/model:v0")
	defer umount()
	path := filepath.Join(mnt, "model.bin")
	if s := h.status().Mounts[0]; s.Open != "passthrough" {
		h.t.Fatalf("%s: opened %s: %s", open, s.Open, s.OpenReason)
	}
	if cold {
		program(h.t, "/", "cmp", path, want)
	}
	h.untilPassedThrough(path)
	before := h.reads()
	for _, name := range programs {
		args := map[string][]string{"cmp": {path, want}, "python3": {"-c", mapAndCompare, path, want}}
		program(h.t, "/", name, args[name]...)
	}
	if n := h.reads() - before; n != 0 {
		h.t.Errorf("%s: %d reads came to the daemon", open, n)
	}
}

const mapAndCompare = `
import mmap, sys
f, g = (open(p, "rb") for p in sys.argv[1:3])
a, b = (mmap.mmap(x.fileno(), 0, prot=mmap.PROT_READ) for x in (f, g))
p = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
p[0:4] = b"mine"
for i in range(4, len(b), 1 << 20):
    assert a[i:i+5000] == b[i:i+5000] == p[i:i+5000], i
assert len(a) == len(b) and f.read(8) == b[:8]
`

// TestPassthroughWithoutRoom: of a file larger than the cache nothing is passed
// through, and it is read all the same.
func TestPassthroughWithoutRoom(t *testing.T) {
	h := newHost(t).with("PINFS_CACHE_SIZE=32M")
	data := newModel(t, h, "passthrough-small", 64<<20)
	mnt, umount := h.mountUntil("--open=passthrough", "open/model:v0")
	defer umount()
	for range 2 {
		got, err := os.ReadFile(filepath.Join(mnt, "model.bin"))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if s := h.status().Mounts[0]; s.Open != "passthrough" || s.Reads == 0 {
		t.Errorf("status: %+v", s)
	}
}

// TestPassthroughWithoutRoot: it is asked for in vain; the mount says so and works.
func TestPassthroughWithoutRoot(t *testing.T) {
	g := newGuest(t)
	g.user("mkdir", "-p", g.dir+"/data", g.dir+"/mnt")
	g.user("sh", "-c", "echo content >"+g.dir+"/data/file")
	g.put("mine", g.dir+"/data")
	r := g.run("mount", "--open=passthrough", "mine:v0", g.dir+"/mnt")
	if r.code != 0 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "CAP_SYS_ADMIN") {
		t.Errorf("mount: code %d, %q", r.code, r.stderr)
	}
	if got := g.user("cat", g.dir+"/mnt/file"); got != "content\n" {
		t.Errorf("reads %q", got)
	}
	s := g.status().Mounts[0]
	if s.Open != "stateless" || !strings.Contains(s.OpenReason, "CAP_SYS_ADMIN") {
		t.Errorf("status: %+v", s)
	}
	if out := g.must("status"); !strings.Contains(out, "CAP_SYS_ADMIN") {
		t.Errorf("status says\n%s", out)
	}
	g.must("umount", g.dir+"/mnt")
}
