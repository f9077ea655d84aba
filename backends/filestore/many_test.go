package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// tree makes files of the given sizes and gives them as List does, with the
// digests that they must get.
func tree(t *testing.T, sizes []int) ([]backends.Info, []string) {
	t.Helper()
	dir := t.TempDir()
	infos, want := make([]backends.Info, len(sizes)), make([]string, len(sizes))
	random := rand.NewChaCha8([32]byte{byte(len(sizes))})
	for i, size := range sizes {
		data := make([]byte, size)
		_, _ = random.Read(data)
		path := fmt.Sprintf("%s/%04d", dir, i)
		must(t, os.WriteFile(path, data, 0o644))
		infos[i] = backends.Info{Ref: "file://" + path, Name: fmt.Sprint(i), Size: int64(size)}
		want[i] = digest(data)
	}
	return infos, want
}

// sizes are n of all kinds: empty, around blocks and pieces, large.
func sizes(n int) []int {
	kinds := []int{0, 1, 55, 56, 63, 64, 65, 4095, 4096, 6 << 10, 16<<10 - 1, 16 << 10, 32 << 10, 32<<10 + 1, 100_000}
	large := []int{1<<20 - 1, 1 << 20, 1<<20 + 1, 2 << 20, 5<<20 + 77}
	all := make([]int, n)
	for i := range all {
		all[i] = kinds[i%len(kinds)]
		if i%40 == 7 {
			all[i] = large[i/40%len(large)]
		}
	}
	return all
}

func store(t *testing.T, o filestore.Options) *filestore.Store {
	t.Helper()
	s := filestore.NewWith(o)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func wantDigests(t *testing.T, infos []backends.Info, want []string) {
	t.Helper()
	for i, info := range infos {
		if info.Digest != want[i] || info.Name != fmt.Sprint(i) || info.ModTime.IsZero() || len(info.Sums) != 1 {
			t.Fatalf("file %d of %d bytes: got %+v, want digest %q", i, info.Size, info, want[i])
		}
	}
}

func TestDigestMany(t *testing.T) {
	s := store(t, filestore.Options{})
	for _, n := range []int{0, 1, 2, 3, 15, 16, 17, 64, 1000} {
		infos, want := tree(t, sizes(n))
		for range 2 { // the second uses the hashers again
			must(t, s.DigestMany(t.Context(), infos))
			wantDigests(t, infos, want)
		}
	}
}

func TestDigestManyOfUnlikeSizes(t *testing.T) {
	s := store(t, filestore.Options{})
	infos, want := tree(t, []int{24 << 20, 0, 3, 1 << 20, 17, 9 << 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 33 << 10})
	must(t, s.DigestMany(t.Context(), infos))
	wantDigests(t, infos, want)
}

// Many calls at once, as publish makes them, share nothing but idle engines.
func TestDigestManyAtOnce(t *testing.T) {
	s := store(t, filestore.Options{})
	var g errgroup.Group
	for i := range 8 {
		infos, want := tree(t, sizes(30+i))
		g.Go(func() error {
			if err := s.DigestMany(t.Context(), infos); err != nil {
				return err
			}
			for i := range infos {
				if infos[i].Digest != want[i] {
					return fmt.Errorf("file %d: got %q, want %q", i, infos[i].Digest, want[i])
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
}

// What goes wrong in the middle ends all, and leaves the hashers fit for more.
func TestDigestManyThatFails(t *testing.T) {
	var path string
	tests := map[string]struct {
		fault func(op string) error
		kind  manifest.Kind
	}{
		"open":    {func(op string) error { return onlyAt(op == "open", os.ErrPermission) }, manifest.KindOther},
		"read":    {func(op string) error { return onlyAt(op == "read", errors.New("bad sector")) }, manifest.KindOther},
		"removed": {func(op string) error { return onlyAt(op == "open", os.Remove(path)) }, manifest.KindGone},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			infos, want := tree(t, sizes(100))
			broken := infos[47].Ref
			path = strings.TrimPrefix(broken, "file://")
			s := store(t, filestore.Options{})
			s.SetBefore(func(op, at string) error {
				if at != path {
					return nil
				}
				return tc.fault(op)
			})
			wantErr(t, s.DigestMany(t.Context(), append([]backends.Info(nil), infos...)), tc.kind, broken)
			s.SetBefore(nil)
			rest := append(append([]backends.Info(nil), infos[:47]...), infos[48:]...)
			must(t, s.DigestMany(t.Context(), rest))
			for i, info := range rest {
				if at := i + (i+53)/100; info.Digest != want[at] {
					t.Fatalf("file %d: got %q, want %q", at, info.Digest, want[at])
				}
			}
		})
	}
}

func onlyAt(here bool, err error) error {
	if here {
		return err
	}
	return nil
}

// Each change of a small file that is seen in the moment between its opening and
// its end.
func TestDigestManySeesChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grown":   func(p string) error { return os.WriteFile(p, make([]byte, 5001), 0o644) },
		"cut":     func(p string) error { return os.Truncate(p, 10) },
		"emptied": func(p string) error { return os.Truncate(p, 0) },
		"touched": func(p string) error { return os.Chtimes(p, time.Time{}, time.Now().Add(time.Hour)) },
		"removed": os.Remove,
		"replaced": func(p string) error {
			return errors.Join(os.WriteFile(p+"x", make([]byte, 5000), 0o644), os.Rename(p+"x", p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			infos, _ := tree(t, []int{100, 200, 300, 5000, 400})
			ref := infos[3].Ref
			s := store(t, filestore.Options{})
			var once atomic.Bool
			s.SetBefore(func(op, path string) error {
				if op == "read" && "file://"+path == ref && once.CompareAndSwap(false, true) {
					return change(path)
				}
				return nil
			})
			wantErr(t, s.DigestMany(t.Context(), infos), manifest.KindChanged, ref, "changed while it was read")
		})
	}
}

func TestDigestManyIsCancelled(t *testing.T) {
	before, fds := runtime.NumGoroutine(), descriptors(t)
	infos, _ := tree(t, sizes(200))
	s := filestore.New()
	for at := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		s.SetBefore(func(string, string) error {
			if calls.Add(1) == int64(at*17+1) {
				cancel()
			}
			return nil
		})
		wantErr(t, s.DigestMany(ctx, infos), manifest.KindCanceled, "file://")
		cancel()
	}
	must(t, s.Close())
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before || descriptors(t) > fds; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines and %d descriptors, want %d and %d as before", runtime.NumGoroutine(), descriptors(t), before, fds)
		}
	}
}

// A small file costs one call: opened, read and closed in one go.
func TestDigestManyOpensOnce(t *testing.T) {
	infos, want := tree(t, sizes(40)[:7])
	s := store(t, filestore.Options{})
	var opens, reads atomic.Int64
	s.SetBefore(func(op, _ string) error {
		switch op {
		case "open":
			opens.Add(1)
		case "read":
			reads.Add(1)
		}
		return nil
	})
	must(t, s.DigestMany(t.Context(), infos))
	wantDigests(t, infos, want)
	if opens.Load() != 7 || reads.Load() != 7 {
		t.Errorf("got %d opens, %d reads, want 7 of each", opens.Load(), reads.Load())
	}
}
