package cache_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/testwarden"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	testwarden.Main()
	goleak.VerifyTestMain(m, // badger leaves these two behind when it can't open an index
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"))
}

// request is one call of Open.
type request struct {
	ref         string
	offset, len int64
}

// source is a map of contents, with hooks.
type source struct {
	mu       sync.Mutex
	data     map[string][]byte // by ref
	sums     map[string][]manifest.Sum
	requests []request
	stats    int
	quiet    bool // requests are not remembered

	inFlight, most atomic.Int64
	// before is called at each Open, after the count; its error is Open's.
	before func(ctx context.Context, obj manifest.Object, off, n int64) error
	// body may wrap the response.
	body func(obj manifest.Object, off int64, r io.Reader) io.Reader
}

var _ cache.Source = (*source)(nil)

func newSource() *source {
	return &source{data: map[string][]byte{}, sums: map[string][]manifest.Sum{}}
}

func (s *source) put(ref string, data []byte) manifest.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[ref] = data
	return manifest.Object{Ref: ref, Pin: manifest.Pin{Kind: manifest.PinVersion, Value: "1"}, Digest: "etag-" + ref, Size: int64(len(data))}
}

// vouch makes the source tell checksums from now on.
func (s *source) vouch(ref string, sums []manifest.Sum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums[ref] = sums
}

// putFile is put for what only its content pins.
func (s *source) putFile(ref string, data []byte) manifest.Object {
	obj := s.put(ref, data)
	obj.Digest = md5Of(data)
	obj.Pin = manifest.Pin{Kind: manifest.PinMD5, Value: obj.Digest}
	return obj
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func md5Sum(data []byte) manifest.Sum {
	sum := md5.Sum(data)
	return manifest.Sum{Alg: manifest.SumMD5, Value: sum[:]}
}

func (s *source) get(obj manifest.Object) ([]byte, cache.Described, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.data[obj.Ref]
	if !ok {
		return nil, cache.Described{}, &manifest.Error{Kind: manifest.KindGone, Op: "read", Ref: obj.Ref}
	}
	return data, cache.Described{Size: int64(len(data)), Sums: s.sums[obj.Ref]}, nil
}

func (s *source) Open(ctx context.Context, obj manifest.Object, off, n int64) (io.ReadCloser, cache.Described, error) {
	s.mu.Lock()
	if !s.quiet {
		s.requests = append(s.requests, request{obj.Ref, off, n})
	}
	before, body := s.before, s.body
	s.mu.Unlock()
	now := s.inFlight.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if before != nil {
		if err := before(ctx, obj, off, n); err != nil {
			s.inFlight.Add(-1)
			return nil, cache.Described{}, err
		}
	}
	data, d, err := s.get(obj)
	if err != nil {
		s.inFlight.Add(-1)
		return nil, d, err
	}
	end := int64(len(data))
	if n >= 0 {
		end = min(end, off+n)
	}
	var r io.Reader = bytes.NewReader(data[min(off, end):end])
	if body != nil {
		r = body(obj, off, r)
	}
	return &response{Reader: r, s: s}, d, nil
}

type response struct {
	io.Reader
	s *source
}

func (r *response) Close() error {
	r.s.inFlight.Add(-1)
	return nil
}

func (s *source) Stat(_ context.Context, obj manifest.Object) (cache.Described, error) {
	s.mu.Lock()
	s.stats++
	s.mu.Unlock()
	_, d, err := s.get(obj)
	return d, err
}

func (s *source) hook(before func(ctx context.Context, obj manifest.Object, off, n int64) error, body func(obj manifest.Object, off int64, r io.Reader) io.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.body = before, body
}

// asked gives how many requests there were, and for how many bytes.
func (s *source) asked() (n int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		bytes += r.len
	}
	return len(s.requests), bytes
}

func (s *source) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
	s.most.Store(0)
}

// content makes n bytes that depend on seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b)
	return b
}

func options(dir string, s cache.Source) cache.Options {
	return cache.Options{Dir: dir, Source: s, Size: 1 << 30, MinFree: 1, MemoryBytes: 64 << 20,
		StallTimeout: 10 * time.Second, RetryAfter: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

func open(tb testing.TB, o cache.Options) *cache.Cache {
	tb.Helper()
	c, err := cache.Open(o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return c
}

// readAll reads obj in steps and compares it with want.
func readAll(tb testing.TB, c *cache.Cache, obj manifest.Object, want []byte, step int) {
	tb.Helper()
	buf := make([]byte, step)
	for off := 0; off < len(want); off += step {
		n, err := c.ReadAt(tb.Context(), obj, buf, int64(off))
		if err != nil && (err != io.EOF || off+n != len(want)) {
			tb.Fatalf("ReadAt(%s, %d): got %d, %v", obj.Ref, off, n, err)
		}
		if w := want[off:min(off+step, len(want))]; !bytes.Equal(buf[:n], w) {
			tb.Fatalf("ReadAt(%s, %d): %d bytes differ from what was put", obj.Ref, off, n)
		}
	}
}

// readErr reads the first bytes of obj, which must fail with kind.
func readErr(tb testing.TB, c *cache.Cache, obj manifest.Object, kind manifest.Kind) error {
	tb.Helper()
	n, err := c.ReadAt(tb.Context(), obj, make([]byte, 100), 0)
	if got := manifest.KindOf(err); err == nil || got != kind {
		tb.Fatalf("ReadAt(%s): got %d, %v (%v), want %v", obj.Ref, n, err, got, kind)
	}
	return err
}

// opened waits until a gate is closed, which lets an answer through.
func opened(ctx context.Context, gate <-chan struct{}) error {
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eventually waits for ok.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	tb.Fatalf("never came: %s", what)
}

func ref(i int) string { return fmt.Sprintf("s3://bucket/a b+ü%%23?#/%d", i) }
