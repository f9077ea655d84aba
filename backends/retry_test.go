package backends_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "mem://b/o"

var errReset = errors.New("connection reset")

// world is a store with one object of n bytes behind a retry.
type world struct {
	store *memstore.Store
	retry backends.Backend
	obj   manifest.Object
	data  []byte
}

func newWorld(n int, p backends.RetryPolicy) world {
	w := world{store: memstore.NewVersioned(), data: make([]byte, n)}
	for i := range w.data {
		w.data[i] = byte(i * i >> 7)
	}
	id := w.store.Put(key, w.data)
	w.retry = backends.WithRetry(w.store, p)
	w.obj = manifest.Object{Ref: key, Pin: manifest.Pin{Kind: manifest.PinVersion, Value: id}, Digest: key, Size: int64(n)}
	return w
}

func (w world) read(ctx context.Context, offset, length int64) ([]byte, error) {
	body, _, err := w.retry.Open(ctx, w.obj, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

func (w world) want(t *testing.T, offset, length int64) {
	t.Helper()
	got, err := w.read(t.Context(), offset, length)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	want := w.data[offset:]
	if length >= 0 {
		want = want[:length]
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, want %d, and the same", len(got), len(want))
	}
}

func (w world) wantErr(t *testing.T, kind manifest.Kind, words ...string) {
	t.Helper()
	got, err := w.read(t.Context(), 0, -1)
	wantErr(t, err, kind, words...)
	if !bytes.Equal(got, w.data[:len(got)]) {
		t.Fatalf("got %d bytes before the error, not those of the object", len(got))
	}
	if len(got) == len(w.data) {
		t.Fatalf("got all %d bytes and then an error", len(got))
	}
}

func wantErr(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got error %v, kind %q, want %q", err, manifest.KindOf(err), kind)
	}
	for _, word := range append(words, "mem://") {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("got %q, want %q in it", err, word)
		}
	}
}

// bodies gives each open another fault of the body, in order; the last one stays.
func bodies(faults ...memstore.BodyFault) memstore.Hook {
	var n atomic.Int64
	return memstore.Only("open", func(context.Context, memstore.Request) memstore.Fault {
		return memstore.Fault{Body: faults[min(n.Add(1), int64(len(faults)))-1]}
	})
}

func TestBodyIsResumed(t *testing.T) {
	faults := map[string][]memstore.BodyFault{
		"reset at 0":          {memstore.Cut(0, errReset), nil},
		"reset":               {memstore.Cut(1000, errReset), nil},
		"short":               {memstore.Cut(1000, nil), nil},
		"short at 0":          {memstore.Cut(0, nil), nil},
		"unexpected EOF":      {memstore.Cut(1000, io.ErrUnexpectedEOF), nil},
		"typed":               {memstore.Cut(1000, backends.Unreachable("read", key, errReset)), nil},
		"throttled within":    {memstore.Cut(1000, memstore.SlowDown(time.Second).Err), nil},
		"four times":          {memstore.Cut(7, nil), memstore.Cut(0, errReset), memstore.Cut(5000, nil), memstore.Stall(99), nil},
		"stall at 0":          {memstore.Stall(0), nil},
		"stall":               {memstore.Stall(4097), nil},
		"trickle":             {memstore.Trickle(1000, time.Second), nil},
		"reset after the end": {memstore.Cut(60_000, errReset)},
	}
	for name, list := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, r := range [][2]int64{{0, -1}, {100, 50_000}, {0, 60_000}} {
					w := newWorld(60_000, backends.RetryPolicy{})
					w.store.SetHook(bodies(list...))
					w.want(t, r[0], r[1])
					if open := w.store.Counts().Streams; open != 0 {
						t.Errorf("got %d streams left open, want 0", open)
					}
				}
			})
		})
	}
}

func TestBodyOfTheWrongLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(60_000, backends.RetryPolicy{})
		w.store.SetHook(bodies(memstore.Longer(1)))
		w.wantErr(t, manifest.KindCorrupt, "goes on after byte 60000")
		atOnce := func(_ context.Context, r io.Reader) io.Reader { // in one read with the rest
			all, _ := io.ReadAll(r)
			return bytes.NewReader(append(all, 'x'))
		}
		w.store.SetHook(bodies(atOnce))
		body, _, err := w.retry.Open(t.Context(), w.obj, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close() //nolint:errcheck // only read
		n, err := io.ReadFull(body, make([]byte, 60_001))
		if n != 0 {
			t.Errorf("got %d bytes of a body that is too long, want none", n)
		}
		wantErr(t, err, manifest.KindCorrupt, "goes on after byte 60000")
		w.store.SetHook(bodies(memstore.Cut(59_999, nil), memstore.Cut(0, nil)))
		w.wantErr(t, manifest.KindUnreachable, "gave up after 10 attempts", "ended at byte 59999 of 60000")
	})
}

func TestResumedResponseOfAnotherSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(60_000, backends.RetryPolicy{})
		w.store.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
			if r.Offset > 0 {
				return memstore.Fault{Info: func(i *backends.Info) { i.Size++ }}
			}
			return memstore.Fault{Body: memstore.Cut(1000, errReset)}
		})
		w.wantErr(t, manifest.KindChanged, "expected '60000 bytes' but found '60001 bytes'")
	})
}

func TestUnknownSizeEndsAtEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(60_000, backends.RetryPolicy{})
		unknown := func(i *backends.Info) { i.Size = manifest.SizeUnknown }
		w.store.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
			f := memstore.Fault{Info: unknown}
			if r.N == 1 {
				f.Body = memstore.Cut(1000, errReset)
			}
			return f
		})
		w.want(t, 10, 50_000)
		w.want(t, 10, -1)
	})
}

func TestPermanentErrorsComeAtOnce(t *testing.T) {
	for kind := manifest.KindOther; kind <= manifest.KindCanceled; kind++ {
		if kind == manifest.KindUnreachable || kind == manifest.KindThrottled {
			continue
		}
		w := newWorld(10, backends.RetryPolicy{})
		w.store.SetHook(memstore.Always(memstore.Fault{Err: &manifest.Error{Kind: kind, Ref: key}}))
		w.wantErr(t, kind)
		_, err := w.retry.Stat(t.Context(), w.obj)
		wantErr(t, err, kind)
		wantErr(t, w.retry.List(t.Context(), key, nil), kind)
		if got := w.store.Counts().Requests(); got != 3 {
			t.Errorf("%v: got %d requests, want 3", kind, got)
		}
	}
}

func TestThrottledWaitsAsAsked(t *testing.T) {
	tests := []struct {
		asked    time.Duration
		min, max time.Duration
	}{
		{0, 50 * time.Millisecond, time.Second},
		{7 * time.Second, 7 * time.Second, 8 * time.Second},
		{time.Hour, 20 * time.Second, 21 * time.Second}, // the cap
	}
	for _, tc := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(10, backends.RetryPolicy{MaxRetryAfter: 20 * time.Second})
			w.store.SetHook(memstore.First(1, memstore.SlowDown(tc.asked)))
			start := time.Now()
			w.want(t, 0, -1)
			if got := time.Since(start); got < tc.min || got > tc.max {
				t.Errorf("asked for %v: waited %v, want %v to %v", tc.asked, got, tc.min, tc.max)
			}
		})
	}
}

func TestBudgetEnds(t *testing.T) {
	down := memstore.Fault{Err: backends.Unreachable("read", key, errReset)}
	tests := map[string]struct {
		fault memstore.Fault
		kind  manifest.Kind
		word  string
	}{
		"unreachable":    {down, manifest.KindUnreachable, "connection reset"},
		"throttled":      {memstore.SlowDown(0), manifest.KindThrottled, "slow down"},
		"throttled long": {memstore.SlowDown(59 * time.Second), manifest.KindThrottled, "after 2 attempts"},
		"no answer":      {memstore.Fault{Delay: memstore.Forever}, manifest.KindTimeout, "came within 15s"},
		"empty bodies":   {memstore.Fault{Body: memstore.Cut(0, nil)}, manifest.KindUnreachable, "byte 0 of 1000"},
		"stalled bodies": {memstore.Fault{Body: memstore.Stall(1)}, manifest.KindTimeout, "came within 15s"},
		"single bytes":   {memstore.Fault{Body: memstore.Cut(1, errReset)}, manifest.KindUnreachable, "after 10 attempts"},
		"trickling":      {memstore.Fault{Body: memstore.Trickle(1, time.Second)}, manifest.KindTimeout, "gave up"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1000, backends.RetryPolicy{})
				w.store.SetHook(memstore.Always(tc.fault))
				start := time.Now()
				w.wantErr(t, tc.kind, "gave up after", tc.word)
				wantSpent(t, w, start)
				if tc.fault.Body != nil {
					return
				}
				start = time.Now()
				w.store.ResetCounts()
				_, err := w.retry.Stat(t.Context(), w.obj)
				wantErr(t, err, tc.kind, "gave up after", tc.word)
				wantSpent(t, w, start)
			})
		})
	}
}

func wantSpent(t *testing.T, w world, start time.Time) {
	t.Helper()
	if got := time.Since(start); got > 91*time.Second {
		t.Errorf("took %v, want no more than the 90 s of the budget", got)
	}
	if got := w.store.Counts().Requests(); got > 30 || got < 2 {
		t.Errorf("got %d requests, want 2 to 30", got)
	}
}

// A stream of many parts over a link that breaks in each of them ends, though
// there are more breaks than attempts.
func TestProgressKeepsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(5*backends.AttemptBytes, backends.RetryPolicy{MaxAttempts: 3})
		w.store.SetHook(bodies(memstore.Cut(backends.AttemptBytes, errReset)))
		w.want(t, 0, -1)
		if got := w.store.Counts().Open; got < 5 {
			t.Errorf("got %d opens, want 5: the fault did not happen", got)
		}
	})
}

// A reader that is slow itself is not taken for a source that is.
func TestSlowReaderIsNotAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1000, backends.RetryPolicy{})
		body, _, err := w.retry.Open(t.Context(), w.obj, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close() //nolint:errcheck // only read
		p := make([]byte, 100)
		for range 10 {
			time.Sleep(time.Hour)
			if _, err := io.ReadFull(body, p); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.store.Counts().Open; got != 1 {
			t.Errorf("got %d opens, want 1", got)
		}
	})
}

func TestCancelEndsEveryWait(t *testing.T) {
	faults := map[string]memstore.Fault{
		"answer": {Delay: memstore.Forever},
		"pause":  memstore.SlowDown(50 * time.Second),
		"body":   {Body: memstore.Stall(10)},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1000, backends.RetryPolicy{})
				w.store.SetHook(memstore.Always(fault))
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				_, err := w.read(ctx, 0, -1)
				wantErr(t, err, manifest.KindCanceled)
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = w.read(ctx, 0, -1)
				wantErr(t, err, manifest.KindTimeout)
				if got := time.Since(start); got != 2*time.Second {
					t.Errorf("took %v, want 2s", got)
				}
			})
		})
	}
}

func TestListIsRepeatedOnlyWhileEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		w.store.SetHook(memstore.First(3, memstore.Fault{Err: backends.Unreachable("list", key, errReset)}))
		calls := 0
		count := func(backends.Info) error { calls++; return nil }
		if err := w.retry.List(t.Context(), key, count); err != nil || calls != 1 {
			t.Fatalf("got %d calls, error %v, want 1", calls, err)
		}
		broken := &brokenList{Backend: w.store}
		err := backends.WithRetry(broken, backends.RetryPolicy{}).List(t.Context(), key, count)
		wantErr(t, err, manifest.KindUnreachable)
		if broken.calls != 1 {
			t.Errorf("got %d listings after an object was given, want 1", broken.calls)
		}
	})
}

// brokenList breaks after the first object.
type brokenList struct {
	backends.Backend
	calls int
}

func (b *brokenList) List(_ context.Context, uri string, fn func(backends.Info) error) error {
	b.calls++
	if err := fn(backends.Info{}); err != nil {
		return err
	}
	return backends.Unreachable("list", uri, errReset)
}

func TestListErrorOfFnIsKept(t *testing.T) {
	w := newWorld(10, backends.RetryPolicy{})
	want := backends.Unreachable("fn", key, errReset)                                                  // of a kind that is retried
	if err := w.retry.List(t.Context(), key, func(backends.Info) error { return want }); err != want { //nolint:errorlint // as it is
		t.Fatalf("got %v, want %v", err, want)
	}
	if got := w.store.Counts().List; got != 1 {
		t.Errorf("got %d listings, want 1", got)
	}
}

// wrapping is a driver that does not keep to the contract.
type wrapping struct{ backends.Backend }

func (b wrapping) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	if err := b.Backend.List(ctx, uri, fn); err != nil {
		return backends.Unreachable("list", uri, err)
	}
	return nil
}

func TestListErrorOfFnIsUnwrapped(t *testing.T) {
	w := newWorld(10, backends.RetryPolicy{})
	b := backends.WithRetry(wrapping{w.store}, backends.RetryPolicy{})
	if err := b.List(t.Context(), key, func(backends.Info) error { return errReset }); err != errReset { //nolint:errorlint // as it is
		t.Fatalf("got %v, want %v", err, errReset)
	}
}

func TestListMayTakeLongInFnButNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		w.store.Put("mem://b/p", nil)
		calls := 0
		slow := func(backends.Info) error { calls++; time.Sleep(time.Hour); return nil }
		if err := w.retry.List(t.Context(), "mem://b", slow); err != nil || calls != 2 {
			t.Fatalf("got %d calls, error %v, want 2", calls, err)
		}
		w.store.SetHook(memstore.Always(memstore.Fault{Delay: memstore.Forever}))
		wantErr(t, w.retry.List(t.Context(), key, slow), manifest.KindTimeout, "came within 2m0s")
	})
}

func TestRetryOfOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := backends.Retry(t.Context(), backends.RetryPolicy{}, "list", key, func(ctx context.Context) error {
			switch calls++; calls {
			case 1:
				<-ctx.Done() // the watch cuts it
				return ctx.Err()
			case 2:
				return backends.Throttled("list", key, time.Second, errReset)
			}
			return nil
		})
		if err != nil || calls != 3 {
			t.Fatalf("got %d calls, error %v, want 3", calls, err)
		}
	})
}

func TestReadAfterClose(t *testing.T) {
	w := newWorld(1000, backends.RetryPolicy{})
	body, _, err := w.retry.Open(t.Context(), w.obj, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := body.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if n, err := body.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF { //nolint:errorlint // io.Reader's own rule
		t.Errorf("got %d bytes, error %v, want an error", n, err)
	}
}
