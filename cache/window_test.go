package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// TestWindowFillsTheLink: what is asked for ahead of a sequential reader is in
// proportion to what it read, until all the requests that one reader may have are
// under way; the last parts of an object are small.
func TestWindowFillsTheLink(t *testing.T) {
	const size, mib = 200 << 20, 1 << 20
	s := newSource()
	o := options(t.TempDir(), s)
	o.MemoryBytes = 256 * mib
	c := open(t, o)
	data := make([]byte, size)
	obj := s.put(ref(1), data)
	gate := make(chan struct{})
	s.hook(func(ctx context.Context, _ manifest.Object, off, _ int64) error {
		if off < 16*mib {
			time.Sleep(20 * time.Millisecond) // a source that is far away
			return nil
		}
		return opened(ctx, gate)
	}, nil)
	for _, step := range []struct{ read, least, most int64 }{
		{128 << 10, mib, 2 * mib},
		{256 << 10, mib, 4 * mib},
		{mib, 7 * mib, 10 * mib},
		{4 * mib, 30 * mib, 40 * mib},
		{14 * mib, 110 * mib, 150 * mib},
	} {
		readAll(t, c, obj, data[:step.read], 128<<10)
		eventually(t, "a window for what was read", func() bool { _, b := s.asked(); return b >= step.least })
		if _, b := s.asked(); b > step.most {
			t.Errorf("after %d bytes were read in sequence: got %d asked for, want at most %d", step.read, b, step.most)
		}
	}
	eventually(t, "many requests at once", func() bool { return s.inFlight.Load() >= 12 })
	close(gate)
	readAll(t, c, obj, data, mib)
	if _, b := s.asked(); b != size {
		t.Errorf("bytes asked for: got %d, want each of the %d once", b, size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if rest := size - r.offset; rest < 32*mib && r.len > max(rest/8, 2*mib+cache.BlockSize) {
			t.Errorf("request of %d bytes with %d to come: the last parts do not share the link", r.len, rest)
		}
	}
}

// TestWindowHidesTheLatency: near sources get few requests at once.
func TestWindowHidesTheLatency(t *testing.T) {
	const fast = 300 * time.Microsecond // for a MiB: 3.3 GiB/s
	for _, test := range []struct {
		first, mib  time.Duration
		least, most int64
	}{
		{time.Millisecond, fast, 4, 6},
		{5 * time.Millisecond, fast, 8, 10},
		{20 * time.Millisecond, fast, 16, 16},
		{time.Millisecond, 10 * time.Millisecond, 16, 16}, // 100 MiB/s for each request
		{time.Millisecond, 4 * time.Millisecond, 7, 9},
	} {
		if got := cache.PartsAhead(test.first, test.mib, 16); got < test.least || got > test.most {
			t.Errorf("first byte after %v, a MiB in %v: got %d parts, want %d to %d", test.first, test.mib, got, test.least, test.most)
		}
	}
	if got := cache.PartsAhead(0, 0, 16); got > 6 {
		t.Errorf("a source without any latency: got %d parts", got)
	}
}

// TestFirstByteIsOneSmallRequest: nothing goes before the bytes, and they are not
// waited for beyond what was asked.
func TestFirstByteIsOneSmallRequest(t *testing.T) {
	s := newSource()
	c := open(t, options(t.TempDir(), s))
	for i, step := range []struct{ read, most int64 }{{16 << 10, 64 << 10}, {128 << 10, 1 << 20}} {
		obj := s.put(ref(i), content(1, 64<<20))
		s.forget()
		if _, err := c.ReadAt(t.Context(), obj, make([]byte, step.read), 0); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		if first := s.requests[0]; first.offset != 0 || first.len > step.most || len(s.requests) > 1 || s.stats != 0 {
			t.Errorf("requests for the first %d bytes: got %v after %d questions, want one of at most %d", step.read, s.requests, s.stats, step.most)
		}
		s.mu.Unlock()
	}
}
