package backends_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

// narrow is a source that answers a request after a time, and refuses those above
// a number at once.
type narrow struct {
	took time.Duration

	mu             sync.Mutex // guards all below
	room           int
	now            int
	asked, refused int
}

func (n *narrow) setRoom(room int) (asked, refused int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked, refused = n.asked, n.refused
	n.room, n.asked, n.refused = room, 0, 0
	return asked, refused
}

func (n *narrow) hook(ctx context.Context, _ memstore.Request) memstore.Fault {
	n.mu.Lock()
	n.asked++
	if n.now >= n.room {
		n.refused++
		n.mu.Unlock()
		return memstore.SlowDown(0)
	}
	n.now++
	n.mu.Unlock()
	select {
	case <-time.After(n.took):
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now--
	return memstore.Fault{}
}

// readMany reads the object n times by so many readers.
func readMany(t testing.TB, b backends.Backend, obj manifest.Object, readers, n int) {
	t.Helper()
	g := errgroup.Group{}
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	for range readers {
		g.Go(func() error {
			for range work {
				body, _, err := b.Open(t.Context(), obj, 0, 5)
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, body); err != nil {
					return err
				}
				if err := body.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func stats(t testing.TB, b backends.Backend) backends.Stats {
	t.Helper()
	m, ok := b.(backends.Measured)
	if !ok {
		t.Fatalf("%T tells no Stats", b)
	}
	return m.Stats()
}

// TestLimitAdapts: whatever room a source has, no read fails, the limit comes down
// to it, few requests are refused, and it rises again with the room.
func TestLimitAdapts(t *testing.T) {
	for _, room := range []int{1, 2, 3, 5, 8, 13, 21} {
		readers, took := 32+rand.IntN(20), time.Duration(1+rand.IntN(200))*time.Millisecond
		t.Run(fmt.Sprint(room, "of", readers, took), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { adapts(t, room, readers, took) })
		})
	}
}

func adapts(t *testing.T, room, readers int, took time.Duration) {
	w := newWorld(10, backends.RetryPolicy{})
	source := &narrow{took: took, room: room}
	w.store.SetHook(source.hook)
	b := backends.Wrap(w.store, backends.Options{Limit: 128})
	readMany(t, b, w.obj, readers, 300)
	if now := stats(t, b); now.Limit > 2*room+2 || now.Throttled == 0 || now.InFlight+now.Waiting != 0 {
		t.Errorf("got %+v", now)
	}
	source.setRoom(room)
	readMany(t, b, w.obj, readers, 500)
	asked, refused := source.setRoom(1000)
	if refused*5 > asked {
		t.Errorf("%d of %d requests refused", refused, asked)
	}
	readMany(t, b, w.obj, readers, 2000)
	if now := stats(t, b); now.Limit < readers {
		t.Errorf("room for all: got %+v", now)
	}
}

// TestLimitFallsOncePerRoundTrip: what was under way together is one sign.
func TestLimitFallsOncePerRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		w.store.SetHook(memstore.First(40, memstore.Fault{Delay: time.Second, Err: memstore.SlowDown(0).Err}))
		b := backends.Wrap(w.store, backends.Options{Limit: 64})
		readMany(t, b, w.obj, 40, 40)
		now := stats(t, b)
		if now.Limit < 20 || now.Limit > 23 || now.Throttled != 40 || now.Retries != 40 {
			t.Errorf("got %+v, want half of 40, and what the retries added", now)
		}
	})
}

// TestLimitSendsBack: once the limit has fallen, calls that wait for their next
// attempt are over it, and wait again.
func TestLimitSendsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		var asked atomic.Int64
		w.store.SetHook(func(context.Context, memstore.Request) memstore.Fault {
			if asked.Add(1) > 64 {
				return memstore.Fault{Delay: 5 * time.Second}
			}
			return memstore.Fault{Delay: time.Second, Err: memstore.SlowDown(0).Err}
		})
		b := backends.Wrap(w.store, backends.Options{Limit: 64})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		g := errgroup.Group{}
		for range 64 {
			g.Go(func() error {
				_, err := b.Stat(ctx, w.obj)
				return err
			})
		}
		time.Sleep(5 * time.Second) // all were refused, and all pauses are over
		if now := stats(t, b); now.Limit != 32 || now.InFlight != 32 || now.Waiting != 32 {
			t.Errorf("got %+v, want 32 under way, 32 sent back", now)
		}
		if err := g.Wait(); manifest.KindOf(err) != manifest.KindTimeout && err != nil {
			t.Error(err)
		}
		if now := stats(t, b); now.InFlight+now.Waiting != 0 {
			t.Errorf("got %+v at the end", now)
		}
	})
}

// TestLimitIsFair: nobody is overtaken.
func TestLimitIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		w.store.SetHook(memstore.Always(memstore.Fault{Delay: time.Second}))
		b := backends.Wrap(w.store, backends.Options{Limit: 1})
		var mu sync.Mutex
		var order []int
		var calls sync.WaitGroup
		for i := range 10 {
			calls.Go(func() {
				_, _ = b.Stat(t.Context(), w.obj)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		calls.Wait()
		for i, who := range order {
			if who != i {
				t.Fatalf("got the order %v", order)
			}
		}
	})
}

// TestRetriesAreSpread: a source that fails for all is asked again by few at once,
// and no read gives up earlier for that.
func TestRetriesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(10, backends.RetryPolicy{})
		var mu sync.Mutex
		down, perSecond, total := true, map[int]int{}, 0
		start := time.Now()
		w.store.SetHook(func(context.Context, memstore.Request) memstore.Fault {
			mu.Lock()
			defer mu.Unlock()
			perSecond[int(time.Since(start).Seconds())]++
			total++
			if !down {
				return memstore.Fault{}
			}
			return memstore.Fault{Err: backends.Unreachable("read", key, errReset)}
		})
		time.AfterFunc(30*time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			down = false
		})
		b := backends.Wrap(w.store, backends.Options{Limit: 128})
		readMany(t, b, w.obj, 200, 200)
		for second, n := range perSecond {
			if second > 0 && second < 30 && n > 40 {
				t.Errorf("%d requests in second %d", n, second)
			}
		}
		if total < 400 {
			t.Errorf("%d requests in all", total)
		}
	})
}
