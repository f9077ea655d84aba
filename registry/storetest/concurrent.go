package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

const (
	writers = 8
	rounds  = 25
	keys    = 40
)

// createAll tries to create all of the keys and gives how many it won.
func createAll(ctx context.Context, s registry.Store, who string) (won int, err error) {
	for i := range keys {
		err := s.PutIfAbsent(ctx, fmt.Sprintf("race/%d", i), []byte(who))
		switch {
		case err == nil:
			won++
		case manifest.KindOf(err) != manifest.KindConflict:
			return won, err
		}
	}
	return won, nil
}

// increment adds one to the number at key.
func increment(ctx context.Context, s registry.Store, key string) error {
	for {
		data, tag, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			return fmt.Errorf("the counter is %q: %w", data, err)
		}
		err = s.PutIfUnchanged(ctx, key, []byte(strconv.Itoa(n+1)), tag)
		if err == nil || manifest.KindOf(err) != manifest.KindConflict {
			return err
		}
	}
}

func incrementAll(ctx context.Context, s registry.Store) error {
	for range rounds {
		if err := increment(ctx, s, "counter"); err != nil {
			return err
		}
	}
	return nil
}

func testConcurrentCreate(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	var won atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i := range writers {
		g.Go(func() error {
			n, err := createAll(ctx, s, strconv.Itoa(i))
			won.Add(int64(n))
			return err
		})
	}
	must(t, g.Wait())
	if won.Load() != keys {
		t.Errorf("%d creations succeeded for %d keys", won.Load(), keys)
	}
}

func testConcurrentChange(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "counter", []byte("0")))
	g, gctx := errgroup.WithContext(ctx)
	for range writers {
		other := open(t, f, f.Location(t))
		g.Go(func() error { return incrementAll(gctx, other) })
	}
	must(t, g.Wait())
	wantRecord(t, ctx, s, "counter", []byte(strconv.Itoa(writers*rounds)))
}

func testConcurrentFile(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	content := strings.Repeat("x", 1<<20)
	g, gctx := errgroup.WithContext(ctx)
	for range writers {
		local := localFile(t, content)
		g.Go(func() error { return s.PutFile(gctx, "snapshots/one", local) })
	}
	must(t, g.Wait())
	wantFile(t, ctx, s, "snapshots/one", content)
}

// testNothingTorn changes a record between two large contents while others read.
func testNothingTorn(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	a, b := bytes.Repeat([]byte("a"), 300_000), bytes.Repeat([]byte("b"), 200_000)
	must(t, s.PutIfAbsent(ctx, "k", a))
	g, ctx := errgroup.WithContext(ctx)
	var done atomic.Bool
	g.Go(func() error {
		defer done.Store(true)
		next, other := b, a
		for range rounds {
			_, tag, err := s.Get(ctx, "k")
			if err != nil {
				return err
			}
			if err := s.PutIfUnchanged(ctx, "k", next, tag); err != nil {
				return err
			}
			next, other = other, next
		}
		return nil
	})
	for range 3 {
		reader := open(t, f, f.Location(t))
		g.Go(func() error {
			for !done.Load() {
				got, _, err := reader.Get(ctx, "k")
				if err != nil {
					return err
				}
				if !bytes.Equal(got, a) && !bytes.Equal(got, b) {
					return errors.New("a record was seen torn")
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
}
