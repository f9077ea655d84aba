package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/integration/servers"
)

// faulty is a mounted version whose daemon reaches S3 through a proxy.
type faulty struct {
	*host
	proxy   *servers.FaultProxy
	bucket  string
	mnt     string
	objects map[string][]byte // key → content
}

// newFaulty puts objects below d/ and mounts a version of them.
func newFaulty(t *testing.T, versioned bool, objects map[string][]byte) *faulty {
	t.Helper()
	h, p := newHost(t).behind()
	f := &faulty{host: h, proxy: p, bucket: newBucket(t, versioned), objects: objects}
	keys := map[string][]byte{}
	for name, data := range objects {
		keys["d/"+name] = data
	}
	putAll(t, f.bucket, keys)
	f.put("faults/all", "s3://"+f.bucket+"/d")
	f.mnt = f.mount("faults/all:v0")
	return f
}

func (f *faulty) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.mnt, name))
}

// wantRight: the file reads as it was recorded.
func (f *faulty) wantRight(name string) {
	f.t.Helper()
	if got, err := f.read(name); err != nil || !bytes.Equal(got, f.objects[name]) {
		f.t.Errorf("%s: %d bytes, %v, want the %d recorded ones", name, len(got), err, len(f.objects[name]))
	}
}

// wantError: reading fails with errno, and status says for which object, in words.
func (f *faulty) wantError(name string, errno syscall.Errno, words ...string) {
	f.t.Helper()
	if got, err := f.read(name); !errors.Is(err, errno) {
		f.t.Errorf("%s: %d bytes, %v, want %v", name, len(got), err, errno)
	}
	f.wantStatus(name, words...)
}

func (f *faulty) wantStatus(name string, words ...string) {
	f.t.Helper()
	ref := "s3://" + f.bucket + "/d/" + name
	for _, e := range f.status().Errors {
		if e.Ref != ref {
			continue
		}
		if e.Path != filepath.Join(f.mnt, name) {
			f.t.Errorf("status names %s, want %s", e.Path, filepath.Join(f.mnt, name))
		}
		for _, w := range append(words, ref) {
			if !strings.Contains(e.Message, w) {
				f.t.Errorf("%s: %q is not in: %s", name, w, e.Message)
			}
		}
		return
	}
	f.t.Errorf("status has no error of %s: %+v", ref, f.status().Errors)
}

// heals: the file is right a while after the fault went.
func (f *faulty) heals(name string) {
	f.t.Helper()
	f.proxy.Heal()
	eventually(f.t, name+" is right again", func() bool {
		got, err := f.read(name)
		if err == nil && !bytes.Equal(got, f.objects[name]) {
			f.t.Fatalf("%s: wrong bytes", name)
		}
		return err == nil
	})
}

// TestFlippedByte: right ETag and version, wrong bytes. What is checked before
// it is served never shows them.
func TestFlippedByte(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"small": randomBytes(60_000, 1), "medium": randomBytes(300<<10, 2)})
	for name, data := range f.objects {
		f.proxy.Inject(servers.Fault{Match: getOf("/d/" + name), Flip: servers.At(int64(len(data) / 2))})
		for range 3 {
			f.wantError(name, syscall.EIO, "checksum")
		}
		root := filepath.Join(f.dir, "got-"+name)
		r := f.run("get", "faults/all:v0", "--root", root)
		if _, err := os.Stat(filepath.Join(root, name)); r.code != 6 || !strings.Contains(r.stderr, name) || err == nil {
			t.Errorf("get: exit %d, want 6 and %s named and not written: %s", r.code, name, r.stderr)
		}
		f.heals(name)
	}
}

// TestFlippedByteOfLargeObject: an object above 1 MiB is checked when all of it
// is here. Its wrong bytes may be served until then and never after.
func TestFlippedByteOfLargeObject(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"large": randomBytes(5<<20, 3)})
	f.proxy.Inject(servers.Fault{Match: getOf("/d/large"), Flip: servers.At(1000)})
	first, err := f.read("large")
	if err == nil && len(first) != 5<<20 {
		t.Errorf("%d bytes, want all or an error", len(first))
	}
	eventually(t, "status tells of the wrong bytes", func() bool { return len(f.status().Errors) > 0 })
	f.wantStatus("large", "checksum")
	// What the kernel kept of the wrong bytes is gone as well.
	for range 5 {
		f.wantError("large", syscall.EIO, "checksum")
	}
	f.heals("large")
	forgetPages(t)
	f.wantRight("large")
}

// TestFlippedByteStrict: with --verify=strict no size is too large to be checked
// before its first byte is served. What another mount had of it is forgotten.
func TestFlippedByteStrict(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"large": randomBytes(5<<20, 3)})
	f.proxy.Inject(servers.Fault{Match: getOf("/d/large"), Flip: servers.At(1000)})
	file, err := os.Open(filepath.Join(f.mnt, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got := make([]byte, 4096)
	if _, err := file.ReadAt(got, 2<<20); err != nil || bytes.Equal(got, f.objects["large"][2<<20:][:4096]) {
		t.Fatalf("the mount that does not verify first gives right bytes, %v: the test says nothing", err)
	}
	first := f.mnt
	f.mnt = f.mount("faults/all:v0", "--verify=strict")
	for range 3 {
		if got, err := f.read("large"); !errors.Is(err, syscall.EIO) {
			t.Errorf("strict: %d bytes, %v, want EIO", len(got), err)
		}
	}
	eventually(t, "the kernel has forgotten the wrong bytes", func() bool {
		_, err := file.ReadAt(got, 2<<20)
		return errors.Is(err, syscall.EIO)
	})
	f.heals("large")
	f.mnt = first
	f.heals("large")
}

// TestCutBody: a body that ends early is resumed; the reader sees nothing of it.
func TestCutBody(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"small": randomBytes(50_000, 1), "medium": randomBytes(700_000, 2), "large": randomBytes(20<<20, 3)})
	f.proxy.Inject(servers.Fault{Match: getOf("/d/small"), Cut: servers.At(10_000), Times: 1})
	f.proxy.Inject(servers.Fault{Match: getOf("/d/medium"), Cut: servers.At(1), Times: 2})
	f.proxy.Inject(servers.Fault{Match: getOf("/d/large"), Cut: servers.At(300_000), Times: 3})
	for name := range f.objects {
		f.wantRight(name)
	}
	if errs := f.status().Errors; len(errs) > 0 {
		t.Errorf("errors: %+v", errs)
	}
	if n := gets(f.proxy); n < 3+6 {
		t.Errorf("%d GETs: the bodies were not cut", n)
	}
}

// TestSlowDown: throttling makes it slower, nothing else.
func TestSlowDown(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"small": randomBytes(50_000, 1), "large": randomBytes(9<<20, 3)})
	f.proxy.Inject(servers.Fault{Match: getOf(""), Status: 503, Code: "SlowDown", Times: 4})
	for name := range f.objects {
		f.wantRight(name)
	}
	if errs := f.status().Errors; len(errs) > 0 {
		t.Errorf("errors: %+v", errs)
	}
	if n := gets(f.proxy); n < 2+4 {
		t.Errorf("%d GETs: nothing was throttled", n)
	}
}

// TestDenied: refused credentials are EACCES, at once, and cured by better ones.
func TestDenied(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"cached": randomBytes(50_000, 1), "small": randomBytes(50_000, 2), "large": randomBytes(3<<20, 3)})
	f.wantRight("cached")
	f.proxy.Inject(servers.Fault{Status: 403, Code: "AccessDenied"})
	f.wantError("small", syscall.EACCES, "AccessDenied")
	f.wantError("large", syscall.EACCES, "AccessDenied")
	forgetPages(t)
	f.wantRight("cached")
	f.heals("small")
	f.heals("large")
}

// TestServerGone: without a server what is cached stays readable; under
// --offline the rest fails at once.
func TestServerGone(t *testing.T) {
	s3 := servers.StartS3(t)
	h := newHost(t).with(append(s3.Env(), "AWS_ENDPOINT_URL="+s3.Endpoint)...)
	s3.CreateBucket(t, "gone", true)
	want := map[string][]byte{"small": randomBytes(5000, 1), "medium": randomBytes(300<<10, 2), "large": randomBytes(10<<20, 3)}
	for name, data := range want {
		s3.Put(t, "gone", "d/cached/"+name, data)
		s3.Put(t, "gone", "d/never read/"+name, data)
	}
	h.put("faults/gone", "s3://gone/d")
	mnt := emptyDir(t)
	h.must("mount", "faults/gone:v0", mnt)
	defer h.run("umount", mnt) // after a failure
	wantTree(t, filepath.Join(mnt, "cached"), want)
	s3.Kill(t)
	forgetPages(t)
	wantTree(t, filepath.Join(mnt, "cached"), want)
	h.must("umount", mnt)
	offline := h.with("PINFS_OFFLINE=true")
	mnt = offline.mount("faults/gone:v0")
	wantTree(t, filepath.Join(mnt, "cached"), want)
	for name := range want {
		if got, err := os.ReadFile(filepath.Join(mnt, "never read", name)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("%s: %d bytes, %v, want ETIMEDOUT", name, len(got), err)
		}
	}
	for _, e := range offline.status().Errors {
		if !strings.Contains(e.Message, "offline") {
			t.Errorf("odd error: %+v", e)
		}
	}
	if n := len(offline.status().Errors); n != len(want) {
		t.Errorf("%d errors in status, want %d", n, len(want))
	}
}

// TestDeletedVersion: what is cached outlives the pinned version, the rest is
// ESTALE.
func TestDeletedVersion(t *testing.T) {
	f := newFaulty(t, true, map[string][]byte{"cached": randomBytes(300_000, 1), "small": randomBytes(100, 2), "large": randomBytes(2<<20, 3)})
	f.wantRight("cached")
	var entries []struct{ Path, Ref, Pin string }
	f.json(&entries, "ls", "faults/all:v0/")
	for _, e := range entries {
		kind, version, _ := strings.Cut(e.Pin, ":")
		if kind != "version" {
			t.Fatalf("%s is pinned by %q", e.Path, e.Pin)
		}
		shared.s3.DeleteVersion(t, f.bucket, "d/"+e.Path, version)
		shared.s3.Put(t, f.bucket, "d/"+e.Path, []byte("what came after"))
	}
	if len(entries) != 3 {
		t.Fatalf("ls shows %+v", entries)
	}
	forgetPages(t)
	f.wantRight("cached")
	f.wantError("small", syscall.ESTALE, entries[0].Pin[:7])
	f.wantError("large", syscall.ESTALE)
}

// TestOverwrittenWhileRead: an object is overwritten between two reads of one
// open file. With versions the old bytes come to the end; without, old bytes or
// ESTALE, never a mix.
func TestOverwrittenWhileRead(t *testing.T) {
	for _, versioned := range []bool{true, false} {
		t.Run(fmt.Sprintf("versioned=%t", versioned), func(t *testing.T) { overwrittenWhileRead(t, versioned) })
	}
}

func overwrittenWhileRead(t *testing.T, versioned bool) {
	const size = 64 << 20
	f := newFaulty(t, versioned, map[string][]byte{"large": randomBytes(size, 1)})
	f.proxy.Traffic()
	file, err := os.Open(filepath.Join(f.mnt, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got := make([]byte, 1<<20)
	if _, err := io.ReadFull(file, got); err != nil {
		t.Fatal(err)
	}
	shared.s3.Put(t, f.bucket, "d/large", randomBytes(size, 2))
	fetched := f.proxy.Traffic().Bytes
	if fetched > size*3/4 {
		t.Fatalf("%d MiB were fetched before the object changed: the test says nothing", fetched>>20)
	}
	rest, err := io.ReadAll(file)
	got = append(got, rest...)
	if !bytes.Equal(got, f.objects["large"][:len(got)]) {
		t.Error("bytes that are not the recorded ones")
	}
	if versioned && (err != nil || len(got) != size) {
		t.Errorf("%d bytes, %v, want all of the old ones", len(got), err)
	}
	if !versioned {
		if !errors.Is(err, syscall.ESTALE) || len(got) == size {
			t.Errorf("%d bytes, %v, want ESTALE", len(got), err)
		}
		f.wantStatus("large", "expected", "found")
	}
}
