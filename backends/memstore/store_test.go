package memstore_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

const key = "mem://b/k"

func pin(t *testing.T, s *memstore.Store) manifest.Object {
	t.Helper()
	var obj manifest.Object
	err := s.List(t.Context(), key, func(i backends.Info) error {
		obj = i.Entry("x").Object()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func read(ctx context.Context, s *memstore.Store, obj manifest.Object) (string, error) {
	body, _, err := s.Open(ctx, obj, 0, -1)
	if err != nil {
		return "", err
	}
	defer body.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(body)
	return string(data), err
}

func TestKeysWithAndWithoutScheme(t *testing.T) {
	s := memstore.New()
	s.Put("b/k", []byte("one"))
	s.Put("mem://b/k", []byte("two"))
	if got, err := read(t.Context(), s, pin(t, s)); got != "two" || err != nil {
		t.Errorf("got %q, error %v, want two", got, err)
	}
	if !s.Delete("b/k") || s.Delete("mem://b/k") {
		t.Error("Delete tells wrongly whether the object was there")
	}
}

func TestPutCopies(t *testing.T) {
	s, data := memstore.New(), []byte("one")
	s.Put(key, data)
	data[0] = 'X'
	if got, _ := read(t.Context(), s, pin(t, s)); got != "one" {
		t.Errorf("got %q, want one", got)
	}
}

// An ETag finds the newest version with it, as W&B looks for one.
func TestETagFindsOlderVersions(t *testing.T) {
	s := memstore.NewVersioned()
	s.Put(key, []byte("one"))
	obj := pin(t, s)
	version := obj.Pin.Value
	obj.Pin = manifest.Pin{Kind: manifest.PinETag, Value: obj.Digest}
	s.Put(key, []byte("two"))
	s.Delete(key)
	if got, err := read(t.Context(), s, obj); got != "one" || err != nil {
		t.Errorf("got %q, error %v, want one", got, err)
	}
	if !s.DeleteVersion(key, version) || s.DeleteVersion(key, version) {
		t.Error("DeleteVersion tells wrongly whether the version was there")
	}
	if _, err := read(t.Context(), s, obj); manifest.KindOf(err) != manifest.KindGone {
		t.Errorf("got %v, want KindGone", err)
	}
}

// Versions that were made while versions were kept stay when that ends.
func TestVersioningSuspended(t *testing.T) {
	s := memstore.NewVersioned()
	s.Put(key, []byte("one"))
	old := pin(t, s)
	s.SetVersioned(false)
	if id := s.Put(key, []byte("two")); id != "null" {
		t.Errorf("got version id %q, want null", id)
	}
	now := pin(t, s)
	if now.Pin.Kind != manifest.PinETag {
		t.Errorf("got pin %v, want an ETag", now.Pin)
	}
	s.Delete(key)
	if got, err := read(t.Context(), s, old); got != "one" || err != nil {
		t.Errorf("got %q, error %v, want one", got, err)
	}
	if _, err := read(t.Context(), s, now); manifest.KindOf(err) != manifest.KindGone {
		t.Errorf("got %v, want KindGone", err)
	}
}

func TestCounts(t *testing.T) {
	s := memstore.New()
	s.Put(key, []byte("0123456789"))
	obj := pin(t, s)
	if _, err := s.Stat(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	body, _, err := s.Open(t.Context(), obj, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	want := memstore.Counts{List: 1, Stat: 1, Open: 1, Bytes: 5, Streams: 1, MostStreams: 1}
	if got := s.Counts(); got != want || got.Requests() != 3 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_ = body.Close()
	_ = body.Close()
	s.ResetCounts()
	if got := s.Counts(); got != (memstore.Counts{}) {
		t.Errorf("got %+v after the reset, want zeros", got)
	}
}

func TestHookSeesRequests(t *testing.T) {
	s := memstore.New()
	s.Put(key, []byte("0123456789"))
	obj := pin(t, s)
	var got []memstore.Request
	s.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
		got = append(got, r)
		return memstore.Fault{}
	})
	_, _ = s.Stat(t.Context(), obj)
	_, _, _ = s.Open(t.Context(), obj, 3, 4)
	want := []memstore.Request{
		{Op: "stat", URI: key, Object: obj, Length: -1, N: 2},
		{Op: "open", URI: key, Object: obj, Offset: 3, Length: 4, N: 3},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		body memstore.BodyFault
		want string
		err  error
	}{
		"cut":       {memstore.Cut(4, broken), "0123", broken},
		"short":     {memstore.Cut(4, nil), "0123", nil},
		"flip":      {memstore.Flip(4), "0123556789", nil},
		"flip last": {memstore.Flip(9), "0123456788", nil},
		"trickle":   {memstore.Trickle(3, time.Hour), "0123456789", nil},
		"longer":    {memstore.Longer(2), "0123456789\x00\x00", nil},
	}
	for name, tc := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New()
			s.Put(key, []byte("0123456789"))
			obj := pin(t, s)
			s.SetHook(memstore.Only("open", memstore.Always(memstore.Fault{Body: tc.body, Delay: time.Hour})))
			start := time.Now()
			got, err := read(t.Context(), s, obj)
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%s: got %q, error %v, want %q, %v", name, got, err, tc.want, tc.err)
			}
			if time.Since(start) < time.Hour {
				t.Errorf("%s: got no delay", name)
			}
			if again, _ := read(t.Context(), s, obj); again != tc.want {
				t.Errorf("%s: got %q the second time, want %q: the fault changed the object", name, again, tc.want)
			}
		})
	}
}

func TestStallEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		s.Put(key, []byte("0123456789"))
		obj := pin(t, s)
		for _, f := range []memstore.Fault{{Body: memstore.Stall(4)}, {Delay: memstore.Forever}} {
			s.SetHook(memstore.First(1, f))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := read(ctx, s, obj); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			if got, err := read(t.Context(), s, obj); got != "0123456789" || err != nil {
				t.Errorf("after First: got %q, error %v", got, err)
			}
		}
	})
}

func TestSlowDownTellsThePause(t *testing.T) {
	s := memstore.New()
	s.SetHook(memstore.Always(memstore.SlowDown(time.Minute)))
	err := s.List(t.Context(), key, nil)
	if manifest.KindOf(err) != manifest.KindThrottled || backends.RetryAfter(err) != time.Minute {
		t.Errorf("got %v, pause %v, want KindThrottled and a minute", err, backends.RetryAfter(err))
	}
}

func TestClosed(t *testing.T) {
	s := memstore.New()
	s.Put(key, []byte("x"))
	obj := pin(t, s)
	_ = s.Close()
	if _, err := s.Stat(t.Context(), obj); err == nil {
		t.Error("got no error after Close")
	}
}
