package daemon_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

// store is a house whose objects are in memory.
type store struct {
	*house
	mem     *memstore.Store
	entries map[string]manifest.Entry
	o       daemon.Options
	backend backends.Backend
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{house: newHouse(t), mem: memstore.NewVersioned(), entries: map[string]manifest.Entry{}}
	s.backend = backends.NewMux(map[manifest.Source]backends.Backend{"mem": s.mem})
	s.o = s.options(nil)
	return s
}

// add puts an object and records it.
func (s *store) add(path string, data []byte) {
	sum := md5.Sum(data)
	id := s.mem.Put("mem://b/"+path, data)
	s.entries[path] = manifest.Entry{Ref: "mem://b/" + path, Size: int64(len(data)), Digest: hex.EncodeToString(sum[:]),
		Extra: map[string]any{manifest.ExtraVersion: id}}
}

// addMany adds n small objects.
func (s *store) addMany(n int) {
	for i := range n {
		s.add(fmt.Sprintf("d%d/%05d", i%7, i), []byte(fmt.Sprintf("object %d", i)))
	}
}

// serve commits what was added and starts a daemon.
func (s *store) serve() *daemon.Daemon {
	s.t.Helper()
	s.putObjects(s.entries)
	s.o.Backend = s.backend
	d, err := daemon.New(s.o)
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, d.Close(context.Background())) })
	return d
}

func (s *store) warm() daemon.WarmRequest {
	return daemon.WarmRequest{Registry: "file://" + s.registry, Project: "p", Ref: "objects:v0"}
}

func TestWarm(t *testing.T) {
	s := newStore(t)
	s.addMany(500)
	s.add("big", bytes.Repeat([]byte("0123456789"), 1<<20))
	s.add("empty", nil)
	s.add("same", []byte("object 1"))
	e := s.entries["same"]
	s.entries["same/again"], s.entries["unknown"] = e, e
	delete(s.entries, "same")
	e.Size = manifest.SizeUnknown
	s.entries["unknown"] = e
	s.entries["tracked"] = manifest.Entry{Ref: "nope://x", Digest: "nope://x", Size: 5}
	d := s.serve()
	var seen daemon.WarmProgress
	got, err := daemon.NewClient(s.cache).Warm(t.Context(), s.warm(), func(p daemon.WarmProgress) { seen = p })
	must(t, err)
	if got.Ref != "p/objects:v0" || got.Files != 504 || got.Fetched != 503 || got.Here != 1 || got.Skipped != 1 || got.FailedCount != 0 {
		t.Errorf("got %+v", got)
	}
	if seen.Files != 505 || seen.TotalFiles != 505 || seen.Bytes != got.Bytes || seen.Bytes > seen.TotalBytes {
		t.Errorf("last progress %+v, result %+v", seen, got)
	}
	before := s.mem.Counts()
	req := s.request("p/objects:v0")
	_, err = d.Mount(t.Context(), req)
	must(t, err)
	for path := range s.entries {
		if path != "tracked" {
			read(t, req.Dir+"/"+path)
		}
	}
	again, err := d.Warm(t.Context(), s.warm(), nil)
	must(t, err)
	if again.Fetched != 0 || again.Here != 504 || again.Files != 504 || again.Bytes != got.Bytes {
		t.Errorf("warm again: %+v", again)
	}
	if after := s.mem.Counts(); after.Requests() != before.Requests() {
		t.Errorf("reading what is warm made %d requests", after.Requests()-before.Requests())
	}
}

// TestWarmAtOnce: many small objects are asked for at the same time, as many as
// are wanted and no more; two jobs of one version ask for each object once.
func TestWarmAtOnce(t *testing.T) {
	s := newStore(t)
	s.addMany(400)
	d := s.serve()
	var now, most atomic.Int64
	full := make(chan struct{})
	fill := sync.OnceFunc(func() { close(full) })
	s.mem.SetHook(func(ctx context.Context, _ memstore.Request) memstore.Fault {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 48 {
			fill() // nobody leaves before
		}
		select {
		case <-full:
		case <-ctx.Done():
		}
		return memstore.Fault{}
	})
	req := s.warm()
	req.Parallel = 48
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if got, err := d.Warm(t.Context(), req, nil); err != nil || got.Files != 400 {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
	both.Wait()
	if got := most.Load(); got < 48 || got > 96 {
		t.Errorf("at most %d requests were under way, want 48 of each of two jobs", got)
	}
	if got := s.mem.Counts().Open; got != 400 {
		t.Errorf("%d requests for 400 objects", got)
	}
}

// TestWarmFollowsTheLatency: of a source that is far more objects are asked for at
// once than of one that is near, when nobody says how many.
func TestWarmFollowsTheLatency(t *testing.T) {
	most := func(latency time.Duration) int64 {
		s := newStore(t)
		s.addMany(400)
		d := s.serve()
		var now, most atomic.Int64
		s.mem.SetHook(func(ctx context.Context, _ memstore.Request) memstore.Fault {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			select {
			case <-time.After(latency):
			case <-ctx.Done():
			}
			return memstore.Fault{}
		})
		if got, err := d.Warm(t.Context(), s.warm(), nil); err != nil || got.Files != 400 {
			t.Errorf("got %+v, error %v", got, err)
		}
		return most.Load()
	}
	if n := most(50 * time.Microsecond); n > 48 { // a busy machine is taken for a little latency
		t.Errorf("%d requests at once to a source that is near", n)
	}
	if n := most(20 * time.Millisecond); n < 50 || n > daemon.DefaultWarm {
		t.Errorf("%d requests at once to a source that is 20 ms away, want up to %d", n, daemon.DefaultWarm)
	}
}

// TestWarmNamesWhatFails: the others are brought all the same.
func TestWarmNamesWhatFails(t *testing.T) {
	s := newStore(t)
	s.addMany(20)
	d := s.serve()
	s.mem.DeleteVersion("mem://b/d0/00007", s.entries["d0/00007"].Extra[manifest.ExtraVersion].(string))
	s.mem.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
		if r.URI == "mem://b/d1/00001" {
			return memstore.Fault{Body: memstore.Flip(2)}
		}
		return memstore.Fault{}
	})
	for range 2 {
		got, err := daemon.NewClient(s.cache).Warm(t.Context(), s.warm(), nil)
		must(t, err)
		if got.Files != 18 || got.FailedCount != 2 || len(got.Failed) != 2 {
			t.Fatalf("got %+v, want 18 files and 2 failures", got)
		}
		kinds := map[string]manifest.Kind{}
		for _, f := range got.Failed {
			kinds[f.Path] = f.Kind
			if f.Ref != "mem://b/"+f.Path || f.Expected == "" || f.Error == "" {
				t.Errorf("failure %+v says too little", f)
			}
		}
		if kinds["d0/00007"] != manifest.KindGone || kinds["d1/00001"] != manifest.KindCorrupt {
			t.Errorf("got kinds %v", kinds)
		}
	}
	_, err := d.Warm(t.Context(), daemon.WarmRequest{Registry: s.warm().Registry, Project: "p", Ref: "objects:v0", PathPrefix: "d9"}, nil)
	wantKind(t, err, manifest.KindNotFound, "d9")
	part := s.warm()
	part.PathPrefix = "d2/"
	got, err := d.Warm(t.Context(), part, nil)
	must(t, err)
	if got.Here != 3 || got.Files != 3 {
		t.Errorf("of a prefix: %+v, want its 3 files", got)
	}
}

// TestWarmEndsWithItsClient: its end stops the job, and the next one goes on.
func TestWarmEndsWithItsClient(t *testing.T) {
	s := newStore(t)
	s.addMany(200)
	s.serve()
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	s.mem.SetHook(func(ctx context.Context, _ memstore.Request) memstore.Fault {
		if asked.Add(1) > 100 {
			cancel()
			<-ctx.Done()
		}
		return memstore.Fault{}
	})
	req := s.warm()
	req.Parallel = 8
	_, err := daemon.NewClient(s.cache).Warm(ctx, req, nil)
	wantKind(t, err, manifest.KindCanceled)
	if got := asked.Load(); got > 108 {
		t.Errorf("%d requests: the job went on", got)
	}
}

// TestDaemonEndsItsJobs: Close stops a job under way; a daemon with a job does not
// end for want of mounts, and ends after it.
func TestDaemonEndsItsJobs(t *testing.T) {
	s := newStore(t)
	s.addMany(10)
	d := s.serve()
	asked := make(chan struct{})
	s.mem.SetHook(memstore.Only("open", func(context.Context, memstore.Request) memstore.Fault {
		select {
		case asked <- struct{}{}:
		default:
		}
		return memstore.Fault{Delay: memstore.Forever}
	}))
	ended := make(chan error, 1)
	go func() {
		_, err := d.Warm(context.Background(), s.warm(), nil)
		ended <- err
	}()
	<-asked
	must(t, d.Close(context.Background()))
	wantKind(t, <-ended, manifest.KindCanceled, "the daemon is ending")
	_, err := d.Warm(t.Context(), s.warm(), nil)
	wantKind(t, err, manifest.KindBusy)
}

func TestDaemonEndsAfterItsJob(t *testing.T) {
	s := newStore(t)
	s.addMany(3)
	d := s.serve()
	ran := make(chan struct{})
	go func() {
		d.Run(context.Background())
		close(ran)
	}()
	got, err := daemon.NewClient(s.cache).Warm(t.Context(), s.warm(), nil)
	must(t, err)
	if !got.Last {
		t.Error("the client is not told that the daemon ends")
	}
	<-ran
}

// TestWarmTooLarge: refused before anything is fetched; a part of it is not.
func TestWarmTooLarge(t *testing.T) {
	s := newStore(t)
	s.o.Cache.Size = 8 << 20
	for i := range 10 {
		s.add(fmt.Sprintf("%d/x", i), bytes.Repeat([]byte{byte(i)}, 1<<20))
	}
	d := s.serve()
	_, err := d.Warm(t.Context(), s.warm(), nil)
	wantKind(t, err, manifest.KindLimit, "does not fit", "10485760", "--cache-size", "--path-prefix")
	if got := s.mem.Counts().Requests(); got != 0 {
		t.Errorf("%d requests for what does not fit", got)
	}
	part := s.warm()
	part.PathPrefix = "3"
	got, err := d.Warm(t.Context(), part, nil)
	must(t, err)
	if got.Fetched != 1 {
		t.Errorf("of a part: %+v", got)
	}
}

// TestWarmKeeps: what is kept is not evicted, and stands in the way of what would
// fit otherwise, which is told.
func TestWarmKeeps(t *testing.T) {
	s := newStore(t)
	s.o.Cache.UseGrain = time.Nanosecond
	s.o.Cache.Size = 32 << 20 // a quarter of it may go to the index
	for i := range 20 {
		s.add(fmt.Sprintf("kept/%d", i), bytes.Repeat([]byte{byte(i)}, 1<<20))
		s.add(fmt.Sprintf("other/%d", i), bytes.Repeat([]byte{byte(i), 1}, 1<<19))
	}
	d := s.serve()
	kept, other := s.warm(), s.warm()
	kept.PathPrefix, kept.Keep, other.PathPrefix = "kept", daemon.KeepOn, "other"
	got, err := d.Warm(t.Context(), kept, nil)
	must(t, err)
	if got.Files != 20 {
		t.Fatalf("got %+v", got)
	}
	_, err = d.Warm(t.Context(), other, nil)
	wantKind(t, err, manifest.KindLimit, "the cache is full", "--unkeep")
	if got, err = d.Warm(t.Context(), kept, nil); err != nil || got.Here != 20 || got.Fetched != 0 {
		t.Errorf("kept objects: %+v, error %v", got, err)
	}
	kept.Keep = daemon.KeepOff
	got, err = d.Warm(t.Context(), kept, nil)
	must(t, err)
	if got.Unkept != 20 {
		t.Errorf("unkept: %+v", got)
	}
	for range 3 { // of a cache so small, eviction can take too much
		if got, err = d.Warm(t.Context(), other, nil); err == nil {
			break
		}
		wantKind(t, err, manifest.KindLimit)
	}
	if err != nil || got.Files != 20 || got.FailedCount != 0 {
		t.Errorf("after unkeep: %+v, error %v", got, err)
	}
	kept.Keep = "wrong"
	_, err = d.Warm(t.Context(), kept, nil)
	wantKind(t, err, manifest.KindInvalid)
}

// TestWarmOfASilentSource: a source that gives no answer at all ends its objects
// within seconds, however long one request goes on; those of others are brought.
func TestWarmOfASilentSource(t *testing.T) {
	s := newStore(t)
	outages := &daemon.Outages{Patience: time.Second}
	s.o.Outages = outages
	s.mem.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault {
		if !strings.HasPrefix(r.URI, "mem://dead/") {
			return memstore.Fault{}
		}
		return memstore.Fault{Err: &manifest.Error{Kind: manifest.KindUnreachable, Op: "open", Ref: r.URI, Err: errors.New("connection refused")}}
	})
	patient := backends.RetryPolicy{FirstWait: 20 * time.Millisecond, MaxWait: 50 * time.Millisecond, MaxAttempts: 1 << 20, MaxElapsed: time.Hour, OnRetry: outages.Retried}
	s.backend = backends.NewMux(map[manifest.Source]backends.Backend{"mem": backends.WithRetry(s.mem, patient)})
	s.addMany(100)
	for path, e := range s.entries {
		if e.Ref[len(e.Ref)-1]%2 == 0 {
			e.Ref = strings.Replace(e.Ref, "mem://b/", "mem://dead/", 1)
			s.entries[path] = e
		}
	}
	s.o.Cache = cache.Options{Dir: s.cache, Size: 64 << 20, StallTimeout: time.Hour}
	s.serve()
	got, err := daemon.NewClient(s.cache).Warm(t.Context(), s.warm(), nil)
	must(t, err)
	if got.Files != 50 || got.FailedCount != 50 || got.Silent == nil {
		t.Fatalf("got %+v, want half of it", got)
	}
	wantKind(t, got.Silent, manifest.KindUnreachable, "no answer", "connection refused")
}
