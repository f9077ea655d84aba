package cache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

func sumsOf(data []byte) []manifest.Sum {
	sha := sha256.Sum256(data)
	return []manifest.Sum{
		md5Sum(data),
		{Alg: manifest.SumSHA256, Value: sha[:]},
		{Alg: manifest.SumCRC32C, Value: binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))},
		{Alg: manifest.SumCRC64NVME, Value: binary.BigEndian.AppendUint64(nil, crc64.Checksum(data, crc64.MakeTable(0x9a6c9329ac4bc9b5)))},
		{Alg: manifest.SumCRC32, Value: binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))},
	}
}

// TestCRC64NVME holds the polynomial against the catalogue's check value.
func TestCRC64NVME(t *testing.T) {
	data := []byte("123456789")
	if got := binary.BigEndian.Uint64(sumsOf(data)[3].Value); got != 0xae8b14860a799888 {
		t.Fatalf("CRC-64/NVME of 123456789: got %x, want ae8b14860a799888", got)
	}
}

// TestEachSum: objects whose source tells one kind of sum are verified, and a
// byte that was flipped on the way is found.
func TestEachSum(t *testing.T) {
	for _, size := range []int{1000, 300_000, 5<<20 + 4321} {
		data := content(7, size)
		bad := bytes.Clone(data)
		bad[size/2] ^= 4
		for _, sum := range sumsOf(data) {
			s := newSource()
			c := open(t, options(t.TempDir(), s))
			obj := s.put(ref(1), data)
			s.vouch(obj.Ref, []manifest.Sum{sum})
			if err := c.Warm(t.Context(), obj); err != nil {
				t.Errorf("%s, %d bytes: Warm: %v", sum.Alg, size, err)
			}
			if got := c.Inspect(obj); !got.Verified || got.Cached != obj.Size {
				t.Errorf("%s, %d bytes: got %+v, want it verified", sum.Alg, size, got)
			}
			other := s.put(ref(2), bad)
			s.vouch(other.Ref, []manifest.Sum{sum})
			if err := c.Warm(t.Context(), other); manifest.KindOf(err) != manifest.KindCorrupt {
				t.Errorf("%s, %d bytes: Warm of a flipped byte: got %v, want KindCorrupt", sum.Alg, size, err)
			}
			if got := c.Inspect(other); got.Verified || got.Cached != 0 {
				t.Errorf("%s, %d bytes: got %+v, want nothing kept of a flipped byte", sum.Alg, size, got)
			}
		}
	}
}

// TestBackgroundCheck: a large object that turns out wrong when complete is
// dropped, answers with the error, and is served again when it verifies.
func TestBackgroundCheck(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.RetryAfter = 200 * time.Millisecond
	var told []manifest.Object
	var c *cache.Cache
	o.OnMismatch = func(_ context.Context, obj manifest.Object, err error) {
		told = append(told, obj) // the check under way is the only one who calls
		if n, err := c.ReadAt(context.Background(), obj, make([]byte, 10), 5); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("when told of the mismatch, %d bytes are served, error %v", n, err)
		}
	}
	c = open(t, o)
	data := content(1, 4<<20)
	obj := s.put(ref(1), data)
	s.vouch(obj.Ref, sumsOf(data)[2:3])
	flip := func(_ manifest.Object, off int64, r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		if off == 0 {
			b[1] ^= 1
		}
		return bytes.NewReader(b)
	}
	s.hook(nil, flip)
	buf := make([]byte, 1<<20)
	for off := int64(0); off < obj.Size; off += 1 << 20 {
		if _, err := c.ReadAt(t.Context(), obj, buf, off); err != nil {
			break // found already
		}
	}
	eventually(t, "the mismatch", func() bool { return c.Stats().Mismatches > 0 })
	eventually(t, "KindCorrupt", func() bool {
		_, err := c.ReadAt(t.Context(), obj, buf, 0)
		return manifest.KindOf(err) == manifest.KindCorrupt
	})
	time.Sleep(2 * o.RetryAfter)
	readErr(t, c, obj, manifest.KindCorrupt) // a fresh fetch is wrong again: no byte served
	time.Sleep(2 * o.RetryAfter)
	s.hook(nil, nil)
	readAll(t, c, obj, data, 1<<20)
	if got := c.Inspect(obj); !got.Verified || got.LastError != nil {
		t.Errorf("after a good fetch: got %+v, want it verified", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if len(told) != 1 || told[0] != obj {
		t.Errorf("told of mismatches in %v, want once in %v", told, obj)
	}
}

// TestFilesAreVerifiedFirst: no byte of a changed file is ever served.
func TestFilesAreVerifiedFirst(t *testing.T) {
	for _, size := range []int{10, 500_000, 9 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		data := content(1, size)
		obj := s.putFile("file:///data/my file.bin", data)
		bad := bytes.Clone(data)
		bad[size-1] ^= 1
		s.put(obj.Ref, bad)
		err := readErr(t, c, obj, manifest.KindChanged)
		want := "Local file reference: Digest mismatch for path '/data/my file.bin': expected '" + md5Of(data) + "' but found '" + md5Of(bad) + "'"
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: got %q, want it to say %q", size, err, want)
		}
		if used := c.Stats().Used; used != 0 {
			t.Errorf("%d bytes: used %d after a mismatch, want 0", size, used)
		}
		s.put(obj.Ref, data)
		time.Sleep(60 * time.Millisecond)
		s.forget()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { readAll(t, c, obj, data, 1<<20) })
		}
		wg.Wait()
		if n, _ := s.asked(); n != 1 {
			t.Errorf("%d bytes: requests of 10 readers: got %d, want 1", size, n)
		}
		if got := c.Inspect(obj); size > 1<<20 && !got.Verified {
			t.Errorf("%d bytes: got %+v, want it verified", size, got)
		}
		s.put(obj.Ref, bad) // what is here stays
		eventually(t, "all here", func() bool { return c.Inspect(obj).Cached == obj.Size })
		readAll(t, c, obj, data, 1<<20)
	}
}

// TestManifestSumWins: what the source says of itself does not count when the
// manifest records a digest of the content.
func TestManifestSumWins(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	data, other := content(1, 1000), content(2, 1000)
	obj := s.put("gs://b/k", other)
	obj.Digest = base64.StdEncoding.EncodeToString(md5Sum(data).Value)
	s.vouch(obj.Ref, sumsOf(other))
	readErr(t, c, obj, manifest.KindCorrupt)
}

// TestProgressIsNoStall: a file slower than the stall timeout as a whole is
// waited for as long as it moves.
func TestProgressIsNoStall(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.StallTimeout = 400 * time.Millisecond
	c := open(t, o)
	data := content(1, 3<<20)
	obj := s.putFile("file:///slow", data)
	begin := time.Now()
	s.hook(nil, func(_ manifest.Object, _ int64, r io.Reader) io.Reader { return &slow{r} })
	readAll(t, c, obj, data, 1<<20)
	if took := time.Since(begin); took < o.StallTimeout {
		t.Fatalf("took %v: too fast to show anything", took)
	}
}

type slow struct{ r io.Reader }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(15 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 50_000)])
}

func TestDrop(t *testing.T) {
	for _, size := range []int{1000, 300_000, 3 << 20} {
		s := newSource()
		c := open(t, options(t.TempDir(), s))
		obj := s.put(ref(1), content(1, size))
		if err := c.Warm(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		if err := c.Drop(context.Background(), obj); err != nil {
			t.Errorf("Drop: %v", err)
		}
		if got := c.Inspect(obj).Cached; got != 0 {
			t.Errorf("%d bytes: %d here after Drop", size, got)
		}
		eventually(t, "nothing used", func() bool { st := c.Stats(); return st.Used == 0 && st.Objects == 0 })
		s.forget()
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
		if n, _ := s.asked(); n == 0 {
			t.Errorf("%d bytes: read after Drop without a request", size)
		}
	}
}

// meanwhile is a source during whose answers to Stat something happens.
type meanwhile struct {
	statOnly
	do func()
}

func (s *meanwhile) Stat(ctx context.Context, obj manifest.Object) (cache.Described, error) {
	s.do()
	return s.statOnly.Stat(ctx, obj)
}

// TestDroppedWhileChecked: an object that is dropped while it is compared with its
// checksum is not one that differs from it.
func TestDroppedWhileChecked(t *testing.T) {
	for _, sum := range sumsOf(nil)[2:] {
		t.Run(string(sum.Alg), func(t *testing.T) { droppedWhileChecked(t, sum.Alg) })
	}
}

func droppedWhileChecked(t *testing.T, alg manifest.SumAlg) {
	t.Helper()
	s := &meanwhile{statOnly: statOnly{newSource()}, do: func() {}}
	c := open(t, options(t.TempDir(), s))
	data := content(1, 1<<20+5)
	obj := s.put(ref(1), data)
	s.vouch(obj.Ref, slices.DeleteFunc(sumsOf(data), func(s manifest.Sum) bool { return s.Alg != alg }))
	s.do = func() {
		eventually(t, "all of it here", func() bool { return c.Inspect(obj).Cached == obj.Size })
		noErr(t, c.Drop(context.Background(), obj))
	}
	if err := c.Warm(t.Context(), obj); manifest.KindOf(err) != manifest.KindLimit { // it is not there any more
		noErr(t, err)
	}
	s.do = func() {}
	readAll(t, c, obj, data, 1<<20)
	noErr(t, c.Warm(t.Context(), obj))
	if n := c.Stats().Mismatches; n != 0 {
		t.Errorf("%d mismatches, want none", n)
	}
}
