package cache_test

import (
	"context"
	"io"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// etagged tells an MD5 with each answer and the others only when it is asked, as S3
// does of what was written in one request.
type etagged struct{ statOnly }

func (s etagged) Open(ctx context.Context, obj manifest.Object, off, n int64) (io.ReadCloser, cache.Described, error) {
	r, d, err := s.source.Open(ctx, obj, off, n)
	d.Sums = onlyMD5(d.Sums)
	return r, d, err
}

func onlyMD5(sums []manifest.Sum) (only []manifest.Sum) {
	for _, sum := range sums {
		if sum.Alg == manifest.SumMD5 {
			only = append(only, sum)
		}
	}
	return only
}

// warmSome warms n objects of size bytes one after the other, whose source vouches for
// what of says, and gives how many bytes of each were read from disk.
func warmSome(t *testing.T, s etagged, n, size int, of func(data []byte) []manifest.Sum) (read []int64) {
	t.Helper()
	disk := &countingFS{}
	o := options(t.TempDir(), s)
	o.FS = disk
	c := open(t, o)
	for i := range n {
		data := content(uint64(i), size)
		obj := s.put(ref(i), data)
		s.vouch(obj.Ref, of(data))
		read = append(read, warmVerified(t, c, obj, disk))
	}
	return read
}

// TestCRCIsAskedForWhereAnMD5IsTold: for objects that would be read back to compare
// them with the MD5, the source is asked, once each; and from the second one on it is
// known what it will tell while the bytes are written.
func TestCRCIsAskedForWhereAnMD5IsTold(t *testing.T) {
	const n, size = 4, 5 << 20
	for _, which := range sumsOf(nil)[2:] {
		s := etagged{statOnly{newSource()}}
		read := warmSome(t, s, n, size, func(data []byte) (sums []manifest.Sum) {
			for _, sum := range sumsOf(data) {
				if sum.Alg == manifest.SumMD5 || sum.Alg == which.Alg {
					sums = append(sums, sum)
				}
			}
			return sums
		})
		for i, got := range read[1:] {
			if got != 0 {
				t.Errorf("%s: object %d: read from disk: got %d bytes, want 0", which.Alg, i+1, got)
			}
		}
		if got := s.asks(); got != n {
			t.Errorf("%s: asked %d times for %d objects, want once each", which.Alg, got, n)
		}
	}
}

// TestSmallObjectsAreNotAskedFor: their bytes are in memory when they are checked.
func TestSmallObjectsAreNotAskedFor(t *testing.T) {
	s := etagged{statOnly{newSource()}}
	c := open(t, options(t.TempDir(), s))
	for i, size := range []int{1000, 1 << 20} {
		data := content(uint64(i), size)
		obj := s.put(ref(i), data)
		s.vouch(obj.Ref, sumsOf(data))
		if _, err := c.ReadVerifiedAt(t.Context(), obj, make([]byte, 100), 500); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.asks(); got != 0 {
		t.Errorf("asked %d times, want never", got)
	}
}

// TestSourceWithoutCRCsIsAskedSeldom: one that has no more than it tells.
func TestSourceWithoutCRCsIsAskedSeldom(t *testing.T) {
	const n, patience = 80, 16
	s := etagged{statOnly{newSource()}}
	warmSome(t, s, n, 1<<20+1, func(data []byte) []manifest.Sum { return onlyMD5(sumsOf(data)) })
	if got, want := s.asks(), patience+n/patience; got < patience || got > want {
		t.Errorf("asked %d times for %d objects, want %d to %d", got, n, patience, want)
	}
}

// TestSourceWithoutSumsIsAskedOnce: for each object.
func TestSourceWithoutSumsIsAskedOnce(t *testing.T) {
	s := statOnly{newSource()}
	c := open(t, options(t.TempDir(), s))
	for i, size := range []int{2 << 20, 20 << 20} {
		if err := c.Warm(t.Context(), s.put(ref(i), content(uint64(i), size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil { // all checks have ended
		t.Fatal(err)
	}
	if got := s.asks(); got != 2 {
		t.Errorf("asked %d times for 2 objects, want once each", got)
	}
}

// TestMD5WillDo: a source that can't be asked for more is no reason to fail.
func TestMD5WillDo(t *testing.T) {
	s := mute{etagged{statOnly{newSource()}}}
	c := open(t, options(t.TempDir(), s))
	data := content(1, 5<<20)
	obj := s.put(ref(1), data)
	s.vouch(obj.Ref, sumsOf(data))
	for _, read := range []func(context.Context, manifest.Object, []byte, int64) (int, error){c.ReadAt, c.ReadVerifiedAt} {
		if _, err := read(t.Context(), obj, make([]byte, 100), 2<<20); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Inspect(obj); !got.Verified {
		t.Errorf("got %+v, want it verified by the MD5", got)
	}
}

// mute refuses to be asked.
type mute struct{ etagged }

func (mute) Stat(_ context.Context, obj manifest.Object) (cache.Described, error) {
	return cache.Described{}, &manifest.Error{Kind: manifest.KindDenied, Op: "stat", Ref: obj.Ref}
}
