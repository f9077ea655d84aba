package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

var errInjected = errors.New("injected")

// failing is a store whose operation number n fails, and all after it, as if the
// process had died: the operation itself is done before it fails or is not.
type failing struct {
	registry.Store
	n    int64
	done bool // operation n is done before it fails
	ops  atomic.Int64
}

var _ registry.Store = (*failing)(nil)

// do runs an operation unless it is to fail.
func (s *failing) do(op func() error) error {
	i := s.ops.Add(1) - 1
	if i < s.n {
		return op()
	}
	if i == s.n && s.done {
		_ = op()
	}
	return errInjected
}

func (s *failing) Get(ctx context.Context, key string) (data []byte, tag registry.Tag, err error) {
	err = s.do(func() (err error) { data, tag, err = s.Store.Get(ctx, key); return err })
	return data, tag, err
}

func (s *failing) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	return s.do(func() error { return s.Store.PutIfAbsent(ctx, key, data) })
}

func (s *failing) PutIfUnchanged(ctx context.Context, key string, data []byte, tag registry.Tag) error {
	return s.do(func() error { return s.Store.PutIfUnchanged(ctx, key, data, tag) })
}

func (s *failing) Delete(ctx context.Context, key string) error {
	return s.do(func() error { return s.Store.Delete(ctx, key) })
}

func (s *failing) PutFile(ctx context.Context, key, local string) error {
	return s.do(func() error { return s.Store.PutFile(ctx, key, local) })
}

func (s *failing) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ended := false
		err := s.do(func() error {
			for name, err := range s.Store.List(ctx, prefix) {
				if ended = !yield(name, err); ended {
					break
				}
			}
			return nil
		})
		if err != nil && !ended {
			yield("", err)
		}
	}
}

// attempt commits through a store that fails at operation n.
func attempt(t *testing.T, dir string, n int64, done bool, c registry.Commit) error {
	t.Helper()
	s := &failing{Store: registry.NewDirStore(dir), n: n, done: done}
	r, err := registry.Open(t.Context(), s, registry.Options{})
	if err != nil {
		return err
	}
	_, _, err = r.Commit(t.Context(), c)
	return err
}

// state is what users see of p/a.
func state(t *testing.T, dir string) []string {
	t.Helper()
	r, err := openRegistry(t.Context(), dir)
	must(t, err)
	versions, err := r.Versions(t.Context(), "p", "a")
	if err != nil && manifest.KindOf(err) != manifest.KindNotFound {
		t.Fatal(err)
	}
	var all []string
	for _, v := range versions {
		all = append(all, fmt.Sprint(v.Index, v.Digest, v.Aliases))
	}
	return all
}

// Failing at operation N for N = 0, 1, 2, … until one succeeds: the registry is as
// before or the version is there, and the same commit succeeds when repeated.
func TestCommitFailsAtEveryStep(t *testing.T) {
	for _, versions := range []int{0, 2} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d versions, done %v", versions, done), func(t *testing.T) {
				for n, failed := int64(0), true; failed; n++ {
					failed = commitFailingAt(t, versions, n, done)
					if !failed && n < 6 {
						t.Fatalf("succeeded at operation %d: nothing was tested", n)
					}
				}
			})
		}
	}
}

func commitFailingAt(t *testing.T, versions int, n int64, done bool) bool {
	t.Helper()
	dir, ctx := t.TempDir(), t.Context()
	r, err := openRegistry(ctx, dir)
	must(t, err)
	for i := range versions {
		_, _, err := commitText(ctx, r, fmt.Sprint(i), aliased("best"))
		must(t, err)
	}
	c, err := makeCommit(t.TempDir(), "new")
	must(t, err)
	c.Aliases = []string{"best", "prod"}
	before := state(t, dir)
	err = attempt(t, dir, n, done, c)
	if err != nil && !errors.Is(err, errInjected) {
		t.Fatalf("operation %d: got %v, want the injected error", n, err)
	}
	after := state(t, dir)
	if !slices.Equal(after, before) && len(after) != versions+1 {
		t.Fatalf("operation %d: got %q, before %q", n, after, before)
	}
	// The retry is of another type when nothing was made: a failed first commit
	// must not leave its type behind.
	if len(after) == 0 {
		c.Type = "model"
	}
	again, isNew, retryErr := r.Commit(ctx, c)
	if retryErr != nil || again.Index != versions || isNew != (len(after) == versions) {
		t.Fatalf("operation %d: retry: got %s, new %v, error %v", n, again.Name(), isNew, retryErr)
	}
	if want := []string{"best", "latest", "prod"}; !slices.Equal(again.Aliases, want) {
		t.Fatalf("operation %d: retry: got aliases %q, want %q", n, again.Aliases, want)
	}
	if _, _, err := registry.NewDirStore(dir).Get(ctx, "projects/p/a/artifact.json"); err != nil {
		t.Fatalf("operation %d: after the retry: %v", n, err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Fatalf("operation %d: left in .tmp: %q", n, left)
	}
	return err != nil
}

// A commit that loses its race to an equal one is that one.
func TestLostRaces(t *testing.T) {
	for _, test := range []struct {
		winner string
		index  int
		isNew  bool
	}{{"mine", 0, false}, {"other", 1, true}} {
		dir, ctx := t.TempDir(), t.Context()
		s := &racing{Store: registry.NewDirStore(dir)}
		s.before = func() {
			r, err := openRegistry(ctx, dir)
			must(t, err)
			_, _, err = commitText(ctx, r, test.winner)
			must(t, err)
		}
		r, err := registry.Open(ctx, s, registry.Options{})
		must(t, err)
		v, isNew, err := commitText(ctx, r, "mine", aliased("best"))
		if err != nil || v.Index != test.index || isNew != test.isNew || !slices.Contains(v.Aliases, "best") {
			t.Errorf("against %q: got %s %q, new %v, error %v", test.winner, v.Name(), v.Aliases, isNew, err)
		}
	}
}

// A commit that loses the race for v0 to one of another type is refused.
func TestLostRaceForTheType(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := &racing{Store: registry.NewDirStore(dir)}
	s.before = func() {
		r, err := openRegistry(ctx, dir)
		must(t, err)
		_, _, err = commitText(ctx, r, "other", func(c *registry.Commit) { c.Type = "model" })
		must(t, err)
	}
	r, err := registry.Open(ctx, s, registry.Options{})
	must(t, err)
	_, _, err = commitText(ctx, r, "mine")
	wantKind(t, err, manifest.KindInvalid)
	wantText(t, err, "'model'", "'dataset'")
}

// racing lets somebody else commit right before the first version is created.
type racing struct {
	registry.Store
	before func()
	raced  bool
}

func (s *racing) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if filepath.Base(filepath.Dir(key)) == "versions" && !s.raced {
		s.raced = true
		s.before()
	}
	return s.Store.PutIfAbsent(ctx, key, data)
}

// Aliases are moved again when somebody else moves them in between.
func TestConcurrentAliasMoves(t *testing.T) {
	f := newFixture(t)
	for i := range 4 {
		f.commit(t, fmt.Sprint(i))
	}
	errs := make(chan error)
	for i := range 4 {
		go func() {
			r, err := openRegistry(t.Context(), f.dir)
			for range 20 {
				if err == nil {
					err = r.SetAlias(t.Context(), manifest.Name{Project: "p", Artifact: "a", Version: fmt.Sprint("v", i)}, "best")
				}
			}
			errs <- err
		}()
	}
	for range 4 {
		must(t, <-errs)
	}
	if _, err := f.Resolve(t.Context(), name(t, "p/a:best")); err != nil {
		t.Error(err)
	}
}

// Finding the latest of many versions reads one record, not all.
func TestLatestReadsOneRecord(t *testing.T) {
	f := newFixture(t)
	for i := range 50 {
		f.commit(t, fmt.Sprint(i))
	}
	s := &failing{Store: registry.NewDirStore(f.dir), n: 1 << 30}
	r, err := registry.Open(t.Context(), s, registry.Options{})
	must(t, err)
	s.ops.Store(0)
	v, err := r.Resolve(t.Context(), name(t, "p/a"))
	if err != nil || v.Index != 49 {
		t.Fatalf("got %s, error %v; want a:v49", v.Name(), err)
	}
	if got := s.ops.Load(); got > 3 {
		t.Errorf("%d operations for the latest of 50 versions, want at most 3", got)
	}
}
