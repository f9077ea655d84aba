package publish_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

// sumOf is what an algorithm makes of data, raw and in hex.
func sumOf(alg manifest.SumAlg, data []byte) (manifest.Sum, string) {
	h := alg.New()
	h.Write(data)
	sum := manifest.Sum{Alg: alg, Value: h.Sum(nil)}
	return sum, hex.EncodeToString(sum.Value)
}

// tells makes the store tell checksums of objects by the name of their content, in
// answers to op, and no others anywhere.
func tells(op string, sums func(ref string) []manifest.Sum) memstore.Hook {
	return func(_ context.Context, r memstore.Request) memstore.Fault {
		return memstore.Fault{Info: func(i *backends.Info) {
			i.Sums = nil
			if r.Op == op {
				i.Sums = sums(i.Ref)
			}
		}}
	}
}

func TestChecksumOfTheListing(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.mem.Put(fmt.Sprint("b/d/", i), []byte{byte(i)})
	}
	for _, checksum := range []string{"md5", publish.AnyChecksum} {
		w.mem.ResetCounts()
		o := w.options("mem://b/d")
		o.Checksum, o.Name.Artifact = checksum, "of-"+checksum
		r, err := publish.Put(t.Context(), o)
		must(t, err)
		for i, e := range w.entries(t, r.Version) {
			sum := md5.Sum([]byte{byte(i)})
			if got, want := e.Object().Checksums, "md5:"+hex.EncodeToString(sum[:]); got != want {
				t.Errorf("%s, %s: got checksums %q, want %q", checksum, e.Path, got, want)
			}
		}
		if c := w.mem.Counts(); c.Stat != 0 || c.Open != 0 {
			t.Errorf("%s: %d objects asked for and %d read, want none", checksum, c.Stat, c.Open)
		}
	}
}

func TestChecksumIsAskedForAtThePin(t *testing.T) {
	w := newWorld(t)
	w.mem.SetVersioned(true)
	content := func(ref string) []byte { return []byte("content of " + filepath.Base(ref)) }
	for i := range 100 {
		w.mem.Put(fmt.Sprint("b/d/", i), content(fmt.Sprint(i)))
	}
	told := tells("stat", func(ref string) []manifest.Sum {
		crc, _ := sumOf(manifest.SumCRC64NVME, content(ref))
		sum, _ := sumOf(manifest.SumMD5, content(ref))
		return []manifest.Sum{crc, sum}
	})
	var unpinned atomic.Int64
	w.mem.SetHook(func(ctx context.Context, r memstore.Request) memstore.Fault {
		if r.Op == "stat" && r.Object.Pin.Kind != manifest.PinVersion {
			unpinned.Add(1)
		}
		return told(ctx, r)
	})
	o := w.options("mem://b/d")
	o.Checksum = "crc64nvme"
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	for _, e := range w.entries(t, r.Version) {
		_, want := sumOf(manifest.SumCRC64NVME, content(e.Ref))
		if got := e.Object().Checksums; got != "crc64nvme:"+want {
			t.Errorf("%s: got checksums %q, want crc64nvme:%s", e.Path, got, want)
		}
	}
	if c := w.mem.Counts(); c.Stat != 100 || c.Open != 0 || unpinned.Load() != 0 {
		t.Errorf("%d asked for, %d not at their pin, %d read; want 100, 0, 0", c.Stat, unpinned.Load(), c.Open)
	}
}

func TestMissingChecksum(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/has", []byte("has"))
	w.mem.Put("b/d/lacks", []byte("lacks"))
	w.mem.SetHook(tells("stat", func(ref string) []manifest.Sum {
		md, _ := sumOf(manifest.SumMD5, []byte(filepath.Base(ref)))
		crc, _ := sumOf(manifest.SumCRC32C, []byte(filepath.Base(ref)))
		if strings.HasSuffix(ref, "lacks") {
			return []manifest.Sum{md}
		}
		return []manifest.Sum{md, crc}
	}))
	o := w.options("mem://b/d")
	o.Checksum = "crc32c"
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindUnsupported, "mem://b/d/lacks", "crc32c", "md5", "--checksum=source")
	w.wantClean(t, 0)
	if c := w.mem.Counts(); c.Open != 0 {
		t.Errorf("%d objects were read, want none", c.Open)
	}

	o.Checksum = publish.AnyChecksum
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	all := w.entries(t, r.Version)
	_, md := sumOf(manifest.SumMD5, []byte("has"))
	_, crc := sumOf(manifest.SumCRC32C, []byte("has"))
	_, lone := sumOf(manifest.SumMD5, []byte("lacks"))
	if got := all[0].Object().Checksums; got != "md5:"+md+",crc32c:"+crc {
		t.Errorf("got %q, want both", got)
	}
	if got := all[1].Object().Checksums; got != "md5:"+lone {
		t.Errorf("got %q, want what there is", got)
	}
}

func TestNoChecksumAtTheSource(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	w.mem.SetHook(tells("none", nil))
	o := w.options("mem://b/d")
	o.Checksum = "md5"
	_, err := publish.Put(t.Context(), o)
	wantError(t, err, manifest.KindUnsupported, "mem://b/d/x", "no checksum")
	o.Checksum = publish.AnyChecksum
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if _, there := w.entries(t, r.Version)[0].Extra[manifest.ExtraChecksums]; there {
		t.Error("checksums were recorded that nobody told")
	}
	o.Checksum, o.ChunkDigests = "sha256", true // read anyway, so it is computed
	r, err = publish.Put(t.Context(), o)
	must(t, err)
	_, want := sumOf(manifest.SumSHA256, []byte("x"))
	if got := w.entries(t, r.Version)[0].Object().Checksums; got != "sha256:"+want || !r.New {
		t.Errorf("got %q, new %v; want sha256:%s in a new version", got, r.New, want)
	}
}

func TestChecksumOfFiles(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	data := []byte(strings.Repeat("file ", 100_000))
	must(t, os.WriteFile(filepath.Join(dir, "x"), data, 0o666))
	for _, alg := range []manifest.SumAlg{manifest.SumMD5, manifest.SumSHA256, manifest.SumCRC32, manifest.SumCRC32C, manifest.SumCRC64NVME} {
		o := w.options(dir)
		o.Checksum, o.Name.Artifact = string(alg), "of-"+string(alg)
		r, err := publish.Put(t.Context(), o)
		must(t, err)
		_, want := sumOf(alg, data)
		if got := w.entries(t, r.Version)[0].Object().Checksums; got != string(alg)+":"+want {
			t.Errorf("%s: got %q, want %s", alg, got, want)
		}
	}
	o := w.options(dir)
	o.Checksum, o.Name.Artifact = publish.AnyChecksum, "any"
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if e := w.entries(t, r.Version)[0]; len(e.Extra) != 0 {
		t.Errorf("got extra %v of a file, whose source has nothing but its digest", e.Extra)
	}
}

// TestChecksumsMakeAVersion: they are no part of the digest, but who asks for them
// gets them; asking again changes nothing.
func TestChecksumsMakeAVersion(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	first := w.put(t, "mem://b/d")
	for i, step := range []struct {
		checksum string
		isNew    bool
		index    int
	}{{"md5", true, 1}, {"md5", false, 1}, {publish.AnyChecksum, false, 1}, {"", true, 2}, {"", false, 2}} {
		o := w.options("mem://b/d")
		o.Checksum = step.checksum
		r, err := publish.Put(t.Context(), o)
		must(t, err)
		if r.New != step.isNew || r.Version.Index != step.index || r.Version.Digest != first.Version.Digest {
			t.Errorf("put %d: got %s, new %v, digest %s", i, r.Version.Name(), r.New, r.Version.Digest)
		}
	}
}

func TestOptionsThatExcludeEachOther(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("x"))
	for want, change := range map[string]func(*publish.Options){
		"no such checksum: sha1": func(o *publish.Options) { o.Checksum = "sha1" },
		"--no-checksum":          func(o *publish.Options) { o.NoChecksum, o.Checksum = true, "md5" },
		"--chunk-digests":        func(o *publish.Options) { o.NoChecksum, o.ChunkDigests = true, true },
		"or --copy":              func(o *publish.Options) { o.NoChecksum, o.Copy = true, true },
		"--copy":                 func(o *publish.Options) { o.Copy, o.Checksum = true, "md5" },
	} {
		o := w.options("mem://b/d")
		change(&o)
		_, err := publish.Put(t.Context(), o)
		wantError(t, err, manifest.KindInvalid, want)
	}
	if n := w.mem.Counts().Requests(); n != 0 {
		t.Errorf("%d requests for options that can't be, want 0", n)
	}
	w.wantClean(t, 0)
}

// many is a source whose objects are digested together.
type many struct {
	slow
	batches, largest, objects atomic.Int64
}

func (m *many) Digest(context.Context, backends.Info) (backends.Info, error) {
	return backends.Info{}, fmt.Errorf("one by one")
}

func (m *many) DigestMany(_ context.Context, infos []backends.Info) error {
	m.batches.Add(1)
	m.objects.Add(int64(len(infos)))
	for n := m.largest.Load(); n < int64(len(infos)) && !m.largest.CompareAndSwap(n, int64(len(infos))); n = m.largest.Load() {
	}
	for i := range infos {
		sum := sha256.Sum256([]byte(infos[i].Name))
		infos[i].Digest = hex.EncodeToString(sum[:])
	}
	return nil
}

func TestFilesAreDigestedTogether(t *testing.T) {
	w := newWorld(t)
	m := &many{slow: slow{objects: 20_000}}
	o := w.options("mem://x")
	o.Backend, o.Workers = m, 2
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if r.Files != 20_000 || m.objects.Load() != 20_000 {
		t.Fatalf("%d files, %d digested; want 20000", r.Files, m.objects.Load())
	}
	if n := m.largest.Load(); n < 2 || n > 256 {
		t.Errorf("the largest batch had %d objects, want some and at most 256", n)
	}
	for _, e := range w.entries(t, r.Version) {
		sum := sha256.Sum256([]byte(e.Path))
		if want := hex.EncodeToString(sum[:]); e.Digest != want {
			t.Fatalf("%s: got digest %s, want its own", e.Path, e.Digest)
		}
	}
	if !slices.IsSorted(w.paths(t, r.Version)) {
		t.Error("paths are not sorted")
	}
}
