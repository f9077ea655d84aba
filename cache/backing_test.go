package cache_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// borrow waits for a loan of obj, and gives it with the file.
func borrow(t *testing.T, c *cache.Cache, obj manifest.Object, revoked func()) (l *cache.Loan, f *os.File) {
	t.Helper()
	eventually(t, "a loan of "+obj.Ref, func() bool {
		l, f = c.Lend(obj, false, revoked)
		return l != nil
	})
	t.Cleanup(func() { f.Close() })
	return l, f
}

func never() { panic("the loan was revoked") }

// refused makes sure that obj is not lent, now and after what was begun.
func refused(t *testing.T, c *cache.Cache, obj manifest.Object, strict bool) {
	t.Helper()
	for range 20 {
		if l, _ := c.Lend(obj, strict, never); l != nil {
			t.Fatalf("%s was lent", obj.Ref)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func wantFile(t *testing.T, f *os.File, want []byte) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the lent file: %d bytes, %v; want the %d bytes of the object", len(got), err, len(want))
	}
}

func TestLend(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	small, large := s.put(ref(1), content(1, 64<<10)), s.put(ref(2), content(2, 3<<20+5))
	piece, unknown := s.putChunked(ref(3), content(3, 2<<20), 1<<20), s.put(ref(4), content(4, 2<<20))
	gated := s.putFile(ref(5), content(5, 2<<20))
	for _, obj := range []manifest.Object{large, gated} {
		s.vouch(obj.Ref, []manifest.Sum{md5Sum(s.data[obj.Ref])})
	}
	if _, err := c.ReadAt(t.Context(), large, make([]byte, 5), 3<<20); err != nil {
		t.Fatal(err)
	}
	refused(t, c, large, false) // some of it is here
	for _, obj := range []manifest.Object{small, large, piece, unknown, gated} {
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	}
	s.forget()
	for _, obj := range []manifest.Object{large, piece, unknown, gated} {
		l, f := borrow(t, c, obj, never)
		wantFile(t, f, s.data[obj.Ref])
		if err := l.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", obj.Ref, err)
		}
		l.Rest()
		if !l.Take() {
			t.Errorf("%s: a loan that rests is gone", obj.Ref)
		}
		l.Close()
	}
	refused(t, c, small, false)  // no file
	refused(t, c, unknown, true) // nobody can say that it is right
	for _, obj := range []manifest.Object{large, piece, gated} {
		l, f := c.Lend(obj, true, never)
		if l == nil {
			t.Fatalf("%s is verified and not lent as such", obj.Ref)
		}
		l.Close()
		f.Close()
	}
	if n, _ := s.asked(); n != 0 {
		t.Errorf("lending made %d requests", n)
	}
}

// What was fetched since the start is lent at once and is not read back for it: its
// blocks were right when they were written. What another process has written is.
func TestFetchedFileIsLentUnread(t *testing.T) {
	s, disk := newSource(), &countingFS{}
	o := options(t.TempDir(), s)
	o.FS = disk
	objs := []manifest.Object{s.put(ref(1), content(1, 3<<20+5)), s.putChunked(ref(2), content(2, 2<<20), 1<<20),
		s.put(ref(3), content(3, 2<<20)), s.putFile(ref(4), content(4, 2<<20))}
	s.vouch(objs[2].Ref, sumsOf(s.data[objs[2].Ref])) // CRC32C is the cheapest
	s.vouch(objs[3].Ref, []manifest.Sum{md5Sum(s.data[objs[3].Ref])})
	c, err := cache.Open(o)
	noErr(t, err)
	for _, obj := range objs {
		noErr(t, c.Warm(t.Context(), obj))
		l, f := c.Lend(obj, false, never)
		if l == nil {
			t.Fatalf("%s is here, and not lent at the first time of asking", obj.Ref)
		}
		wantFile(t, f, s.data[obj.Ref])
		f.Close()
		l.Close()
	}
	if n := disk.bytes.Load(); n != 0 {
		t.Errorf("%d bytes were read back", n)
	}
	noErr(t, c.Close())
	c = open(t, o)
	for _, obj := range objs {
		if l, _ := c.Lend(obj, false, never); l != nil {
			t.Fatalf("%s was lent, and nobody has looked at its blocks since the start", obj.Ref)
		}
		before := disk.bytes.Load()
		l, _ := borrow(t, c, obj, never)
		l.Close()
		if n := disk.bytes.Load() - before; n < obj.Size {
			t.Errorf("%s: %d of %d bytes were read before it was lent", obj.Ref, n, obj.Size)
		}
	}
}

// What is lent was seen once since the start: damage of before is
// found, however complete the index says the object is.
func TestDamagedFileIsNotLent(t *testing.T) {
	s := newSource()
	dir := t.TempDir()
	obj := filled(t, dir, s, 3<<20)[0]
	flip(t, files(t, dir, "objects/*/*")[0], 2_000_000, 2_000_001, 1)
	c := open(t, options(dir, s))
	refused(t, c, obj, false)
	if n, _ := s.asked(); n != 0 || c.Stats().Damaged != 1 {
		t.Errorf("%d requests, %d damaged blocks; want none, and one", n, c.Stats().Damaged)
	}
	readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	l, f := borrow(t, c, obj, never)
	defer l.Close()
	wantFile(t, f, s.data[obj.Ref])
	// Damage that is found while the file is lent is mended in the same file.
	flip(t, files(t, dir, "objects/*/*")[0], 2_000_000, 2_000_001, 1)
	if got := check(t, c, obj); got.OK() {
		t.Fatal("the damage is not found: the test shows nothing")
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, f, s.data[obj.Ref])
}

// A file that is lent stays, whatever the quota says; one that rests may go.
func TestLentFileIsNotEvicted(t *testing.T) {
	s := newSource()
	o := options(t.TempDir(), s)
	o.Size, o.UseGrain = 16<<20, time.Millisecond
	c := open(t, o)
	used, rests := s.put("s3://b/used", content(1, 2<<20)), s.put("s3://b/rests", content(2, 2<<20))
	for _, obj := range []manifest.Object{used, rests} {
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	}
	inUse, f := borrow(t, c, used, never)
	var revoked atomic.Int64
	idle, _ := borrow(t, c, rests, func() { revoked.Add(1) })
	idle.Rest()
	for i := range 30 {
		obj := s.put(ref(i), content(uint64(i), 2<<20))
		readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	}
	eventually(t, "the idle file to be evicted", func() bool { return revoked.Load() == 1 })
	if idle.Take() {
		t.Error("an evicted file can be taken")
	}
	idle.Close()
	if got := c.Inspect(used).Cached; got != used.Size {
		t.Errorf("%d bytes of the lent file are here, want all", got)
	}
	wantFile(t, f, s.data[used.Ref])
	inUse.Close()
}

// Dropped content ends the loan; who has the file open reads on.
func TestDroppedFileIsRevoked(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	obj := s.put(ref(1), content(1, 2<<20))
	s.vouch(obj.Ref, []manifest.Sum{md5Sum(s.data[obj.Ref])})
	readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	var revoked atomic.Int64
	l, f := borrow(t, c, obj, func() { revoked.Add(1) })
	if err := cache.Poison(c, obj, 3); err != nil { // bytes whose CRC fits
		t.Fatal(err)
	}
	if got := check(t, c, obj); got.OK() {
		t.Fatal("the wrong bytes are not found: the test shows nothing")
	}
	if got := manifest.KindOf(l.Ready(t.Context())); revoked.Load() != 1 || got != manifest.KindCorrupt {
		t.Errorf("revoked %d times, ready says %v; want once, %v", revoked.Load(), got, manifest.KindCorrupt)
	}
	if n, err := f.ReadAt(make([]byte, 2<<20), 0); n != 2<<20 {
		t.Errorf("the old file has %d bytes, %v", n, err)
	}
	refused(t, c, obj, false)
	l.Close()
	readAll(t, c, obj, s.data[obj.Ref], 1<<20)
	again, f := borrow(t, c, obj, never)
	defer again.Close()
	wantFile(t, f, s.data[obj.Ref])
}

// TestBusy: a cache is at rest when what it fetched is on disk and was checked.
func TestBusy(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	obj := s.put(ref(1), content(1, 3<<20))
	s.vouch(obj.Ref, []manifest.Sum{md5Sum(s.data[obj.Ref])})
	gate := make(chan struct{})
	s.hook(func(ctx context.Context, _ manifest.Object, _, _ int64) error {
		return opened(ctx, gate)
	}, nil)
	read := make(chan error)
	go func() {
		_, err := c.ReadAt(t.Context(), obj, make([]byte, obj.Size), 0)
		read <- err
	}()
	eventually(t, "a fetch", func() bool { return c.Stats().Busy > 0 })
	close(gate)
	noErr(t, <-read)
	eventually(t, "rest", func() bool { return c.Stats().Busy == 0 })
	if got := c.Inspect(obj); got.Cached != obj.Size || !got.Verified {
		t.Errorf("at rest: got %+v, want all of it, verified", got)
	}
}
