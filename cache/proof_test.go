package cache_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// statOnly tells checksums only when it is asked for them, as S3 does.
type statOnly struct{ *source }

func (s statOnly) Open(ctx context.Context, obj manifest.Object, off, n int64) (io.ReadCloser, cache.Described, error) {
	r, d, err := s.source.Open(ctx, obj, off, n)
	d.Sums = nil
	return r, d, err
}

func (s statOnly) asks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// crc64Object puts an object that its source vouches for with a CRC-64.
func crc64Object(s *source, size int) (manifest.Object, []byte) {
	data := content(1, size)
	obj := s.put(ref(1), data)
	s.vouch(obj.Ref, sumsOf(data)[3:4])
	return obj, data
}

// warmVerified warms obj and gives how many bytes of it were read from disk.
func warmVerified(t *testing.T, c *cache.Cache, obj manifest.Object, disk *countingFS) int64 {
	t.Helper()
	before := disk.bytes.Load()
	if err := c.Warm(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if got := c.Inspect(obj); !got.Verified || got.Cached != obj.Size {
		t.Fatalf("after warm: got %+v, want it verified", got)
	}
	return disk.bytes.Load() - before
}

// TestWrittenIsNotReadToBeVerified: the check of the whole by a CRC is made of what was
// hashed on the way to the disk. Such a CRC goes before the checksums that can't be.
func TestWrittenIsNotReadToBeVerified(t *testing.T) {
	data := content(1, 33<<20+5)
	all := sumsOf(data)
	for _, crc := range all[2:] {
		for _, sums := range [][]manifest.Sum{{crc}, {all[0], all[1], crc}} {
			s, disk := newSource(), &countingFS{}
			o := options(t.TempDir(), s)
			o.FS = disk
			c := open(t, o)
			obj := s.put(ref(1), data)
			s.vouch(obj.Ref, sums)
			if got := warmVerified(t, c, obj, disk); got != 0 {
				t.Errorf("%s, one of %d: read from disk: got %d bytes, want 0", crc.Alg, len(sums), got)
			}
		}
	}
}

// TestSumsAreAskedForEarly: a source that tells its checksum only when asked is asked
// once, and before all is here.
func TestSumsAreAskedForEarly(t *testing.T) {
	const late = 24 << 20
	s, disk := statOnly{newSource()}, &countingFS{}
	s.hook(func(ctx context.Context, _ manifest.Object, off, _ int64) error {
		for off >= late && s.asks() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	}, nil)
	o := options(t.TempDir(), s)
	o.FS = disk
	c := open(t, o)
	obj, _ := crc64Object(s.source, 64<<20)
	if got := warmVerified(t, c, obj, disk); got > late+8<<20 {
		t.Errorf("read from disk: got %d bytes of %d, want those at most that came before the source was asked", got, obj.Size)
	}
	if got := s.asks(); got != 1 {
		t.Errorf("asked for the checksum: got %d times, want 1", got)
	}
}

// TestVerifiedWithWhatAnotherProcessWrote: only what is not known is read.
func TestVerifiedWithWhatAnotherProcessWrote(t *testing.T) {
	const first = 4 << 20
	s, disk, dir := newSource(), &countingFS{}, t.TempDir()
	obj, data := crc64Object(s, 40<<20)
	c, err := cache.Open(options(dir, s))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	for off := int64(16 << 20); off < 16<<20+first; off += int64(len(buf)) {
		if _, err := c.ReadAt(t.Context(), obj, buf, off); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a part on disk", func() bool { return c.Inspect(obj).Cached >= first })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	o := options(dir, s)
	o.FS = disk
	c = open(t, o)
	here := c.Inspect(obj).Cached
	if got := warmVerified(t, c, obj, disk); got != here {
		t.Errorf("read from disk: got %d bytes, want the %d that were there", got, here)
	}
	readAll(t, c, obj, data, 1<<20)
}

// TestDamageEndsTheProof: after a block rotted the disk itself is checked.
func TestDamageEndsTheProof(t *testing.T) {
	s, disk, dir := newSource(), &countingFS{}, t.TempDir()
	o := options(dir, s)
	o.FS = disk
	c := open(t, o)
	obj, _ := crc64Object(s, 20<<20)
	buf := make([]byte, 64<<10)
	read := func(off int64) {
		if _, err := c.ReadAt(t.Context(), obj, buf, off); err != nil {
			t.Fatal(err)
		}
	}
	read(5 << 20)
	read(10 << 20)
	eventually(t, "two blocks on disk", func() bool { return c.Inspect(obj).Cached >= 2*int64(len(buf)) })
	flip(t, contentFile(t, dir), 10<<20, 10<<20+100, 1)
	read(10 << 20)
	eventually(t, "the damage", func() bool { return c.Stats().Damaged > 0 })
	if got := warmVerified(t, c, obj, disk); got < int64(len(buf)) {
		t.Errorf("read from disk: got %d bytes, want the block that was there", got)
	}
}
