package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// hung gives a store whose calls of one kind hang until release is called.
func hung(at string, o filestore.Options) (s *filestore.Store, release func()) {
	s = filestore.NewWith(o)
	gate := make(chan struct{})
	s.SetBefore(func(op, _ string) error {
		if op == at {
			<-gate
		}
		return nil
	})
	return s, func() { close(gate) }
}

func TestHungShare(t *testing.T) {
	path := t.TempDir() + "/dir/a"
	write(t, path, "data")
	obj := record(t, path)
	calls := map[string]func(ctx context.Context, s *filestore.Store) error{
		"stat": func(ctx context.Context, s *filestore.Store) error {
			return s.List(ctx, obj.Ref, func(backends.Info) error { return nil })
		},
		"readdir": func(ctx context.Context, s *filestore.Store) error {
			return s.List(ctx, "file://"+path[:len(path)-2], func(backends.Info) error { return nil })
		},
		"open": func(ctx context.Context, s *filestore.Store) error {
			_, err := s.Stat(ctx, obj)
			return err
		},
		"read": func(ctx context.Context, s *filestore.Store) error {
			_, err := s.Digest(ctx, backends.Info{Ref: obj.Ref})
			return err
		},
	}
	for at, ask := range calls {
		t.Run(at, func(t *testing.T) {
			before := descriptors(t)
			synctest.Test(t, func(t *testing.T) { hangs(t, at, ask) })
			if after := descriptors(t); after != before {
				t.Errorf("got %d descriptors, want %d as before", after, before)
			}
		})
	}
}

func hangs(t *testing.T, at string, ask func(context.Context, *filestore.Store) error) {
	s, release := hung(at, filestore.Options{ShareTimeout: 5 * time.Second, MaxStuck: 3})
	start := time.Now()
	wantErr(t, ask(t.Context(), s), manifest.KindTimeout, "file://", "no answer within 5s")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	wantErr(t, ask(ctx, s), manifest.KindCanceled, "file://")
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	wantErr(t, ask(ctx, s), manifest.KindTimeout, "file://")
	if got := time.Since(start); got != 7*time.Second {
		t.Errorf("took %v, want 7s", got)
	}
	if got := s.Stuck(); got != 1 { // the others were left before their time
		t.Fatalf("got %d hung calls, want 1", got)
	}
	time.Sleep(5 * time.Second)
	if got := s.Stuck(); got != 3 {
		t.Fatalf("got %d hung calls, want 3", got)
	}
	start = time.Now()
	wantErr(t, ask(t.Context(), s), manifest.KindTimeout, "hangs: 3 earlier calls on it have not returned")
	if got := time.Since(start); got != 0 {
		t.Errorf("took %v, want an answer at once", got)
	}
	release()
	synctest.Wait()
	if got := s.Stuck(); got != 0 {
		t.Errorf("got %d hung calls, want 0", got)
	}
	if err := ask(t.Context(), s); err != nil {
		t.Errorf("after the share answers again: %v", err)
	}
}

// Calls that are slow, or whose callers left, do not count as hung, and no more
// than MaxCalls are in the kernel.
func TestCallsAreBounded(t *testing.T) {
	path := t.TempDir() + "/a"
	write(t, path, "data")
	synctest.Test(t, func(t *testing.T) {
		s := filestore.NewWith(filestore.Options{ShareTimeout: 30 * time.Second, MaxStuck: 2, MaxCalls: 4})
		var under, most atomic.Int64
		s.SetBefore(func(op, _ string) error {
			if op == "open" {
				most.Store(max(most.Load(), under.Add(1)))
				time.Sleep(time.Second)
				under.Add(-1)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := s.Digest(ctx, backends.Info{Ref: "file://" + path})
		wantErr(t, err, manifest.KindTimeout)
		var g errgroup.Group
		for range 20 {
			g.Go(func() error {
				_, err := s.Digest(t.Context(), backends.Info{Ref: "file://" + path})
				return err
			})
		}
		if err := g.Wait(); err != nil || most.Load() != 4 {
			t.Errorf("got error %v, %d calls at once, want 4", err, most.Load())
		}
	})
}

// A read that comes back late writes into no memory of its caller.
func TestLateReadTouchesNothing(t *testing.T) {
	path := t.TempDir() + "/a"
	write(t, path, string(bytes.Repeat([]byte("x"), 500_000)))
	obj := record(t, path)
	synctest.Test(t, func(t *testing.T) {
		s, release := hung("read", filestore.Options{})
		body, _, err := s.Open(t.Context(), obj, 0, -1)
		must(t, err)
		p := make([]byte, 500_000)
		_, err = body.Read(p)
		wantErr(t, err, manifest.KindTimeout)
		must(t, body.Close())
		release()
		synctest.Wait()
		if !bytes.Equal(p, make([]byte, len(p))) {
			t.Error("the late read wrote into the caller's buffer")
		}
	})
}

// The retry above resumes a file whose read failed for a moment.
func TestRetryOverAFlakyShare(t *testing.T) {
	path := t.TempDir() + "/a"
	want := string(bytes.Repeat([]byte("0123456789"), 300_000))
	write(t, path, want)
	obj := record(t, path)
	synctest.Test(t, func(t *testing.T) {
		s, n := filestore.New(), 0
		s.SetBefore(func(op, _ string) error {
			if n++; op == "read" && n%3 == 0 {
				return errors.Join(backends.Unreachable("read", obj.Ref, errors.New("gone for a moment")))
			}
			return nil
		})
		body, _, err := backends.Wrap(s, backends.Options{Limit: 2}).Open(t.Context(), obj, 0, -1)
		must(t, err)
		got := new(bytes.Buffer)
		if _, err := got.ReadFrom(body); err != nil || got.String() != want {
			t.Errorf("got %d bytes, error %v, want %d", got.Len(), err, len(want))
		}
		must(t, body.Close())
		if n < 6 {
			t.Errorf("got %d calls: the fault did not happen", n)
		}
	})
}
