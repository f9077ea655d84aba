package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/expand"
)

// bringOptions say what a bringing does.
type bringOptions struct {
	op, ref  string // of messages
	prefix   string // a file or directory of the version
	keep     string // as in WarmRequest
	parallel int    // small objects at once
	memory   int64  // what buffers of objects under way may take together
	// whole: a version that does not fit is refused before anything is fetched; else
	// what fits is brought.
	whole  bool
	report func(WarmProgress)
	// yields, if set, tells whether somebody waits for a source: then one object is
	// brought at a time.
	yields func() bool
}

// bringing is a job that brings files of a version onto the disk, in the order of
// the manifest: a warm job, or the fill of a mount.
type bringing struct {
	bringOptions
	cache   *cache.Cache
	content content
	snap    *snapshot.Snapshot
	outages *Outages
	began   time.Time
	units   *semaphore.Weighted
	limit   int64         // units in all
	perUnit int64         // bytes of buffers that a unit stands for
	todo    []bool        // by node; written by plan alone
	under   atomic.Int64  // objects
	brings  chan struct{} // has a token after an object was brought
	evicted int64         // of the cache, when it was looked at last
	stop    context.CancelCauseFunc
	// lane is read-held while an object is brought, and taken by one that needs the
	// cache for itself.
	lane sync.RWMutex

	mu       sync.Mutex // guards what follows
	result   WarmResult
	total    WarmProgress
	brought  int64 // bytes on disk, or about to be
	leftOut  int64 // files for which there is no room
	flights  map[*flight]struct{}
	canaries []manifest.Object // the first that were brought: the first to be evicted
	lastErr  error
}

// flight is one object under way.
type flight struct {
	obj    manifest.Object
	cancel context.CancelCauseFunc
}

func newBringing(d *Daemon, s *snapshot.Snapshot, found *expand.Expander, o bringOptions) *bringing {
	requests, memory := orElse(d.o.Cache.Requests, 128), orElse(d.o.Cache.MemoryBytes, 256<<20)
	n := min(orElse(o.parallel, DefaultWarm), requests)
	share := orElse(o.memory, memory*3/4)
	return &bringing{bringOptions: o, cache: d.cache, content: content{Cache: d.cache, redact: d.o.Redact, found: found}, snap: s,
		outages: d.o.Outages, began: time.Now(), units: semaphore.NewWeighted(int64(n)), limit: int64(n), perUnit: max(share/int64(n), 1),
		brings: make(chan struct{}, 1), flights: map[*flight]struct{}{}, result: WarmResult{Ref: o.ref}}
}

func orElse[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// run does all of it. The error is for what stopped it.
func (b *bringing) run(ctx context.Context) error {
	ctx, b.stop = context.WithCancelCause(ctx)
	defer b.stop(nil)
	start, err := b.find()
	if err != nil {
		return err
	}
	if b.keep == KeepOff {
		return b.ended(ctx, b.unkeep(ctx, start))
	}
	b.evicted = b.cache.Stats().Evicted
	evictedBefore := b.evicted
	if err := b.ended(ctx, b.plan(ctx, start)); err != nil {
		return err
	}
	if b.whole {
		if err := b.fits(ctx, start); err != nil {
			return err
		}
	}
	if err := b.ended(ctx, b.refresh(ctx, start)); err != nil {
		return err
	}
	watched := b.watch(ctx)
	err = b.ended(ctx, b.fetchAll(ctx, start))
	watched()
	if err != nil {
		return err
	}
	if b.cache.Stats().Evicted != evictedBefore {
		return b.ended(ctx, b.recount(ctx, start))
	}
	return nil
}

// ended prefers why ctx ended to what that caused.
func (b *bringing) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); manifest.KindOf(cause) != manifest.KindCanceled || cause != ctx.Err() {
		return cause
	}
	return &manifest.Error{Kind: manifest.KindCanceled, Op: b.op, Ref: b.ref, Err: ctx.Err(), Hint: "again to go on"}
}

// find gives the node of the prefix.
func (b *bringing) find() (snapshot.Node, error) {
	path := strings.TrimSuffix(b.prefix, "/")
	node, ok, err := b.snap.Find(path)
	if err == nil && !ok {
		err = &manifest.Error{Kind: manifest.KindNotFound, Op: b.op, Ref: path, Msg: "no such path in the version"}
	}
	return node, err
}

// each calls fn for the files at and below start, in the order of the manifest.
func (b *bringing) each(ctx context.Context, start snapshot.Node, fn func(index uint32) error) error {
	if !start.Dir {
		return fn(start.Index)
	}
	for node, err := range b.snap.Walk(start.Index) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !node.Dir {
			err = fn(node.Index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fetchAll brings what plan found missing.
func (b *bringing) fetchAll(ctx context.Context, start snapshot.Node) error {
	var under sync.WaitGroup
	defer under.Wait()
	return b.each(ctx, start, func(index uint32) error {
		if !b.todo[index] {
			return nil
		}
		obj, err := b.snap.Object(index)
		if err != nil {
			return err
		}
		n := b.weight(obj.Size)
		if err := b.turn(ctx, n, obj.Size); err != nil {
			return err
		}
		b.under.Add(1)
		under.Go(func() {
			defer b.units.Release(n)
			defer b.landed()
			b.one(ctx, index, obj)
		})
		return nil
	})
}

// largeUnits bounds the share of one object, so that the next one is fetched while
// a large one is verified.
const largeUnits = 3

// weight is how many units an object takes.
func (b *bringing) weight(size int64) int64 {
	return min(max(size/b.perUnit, 1), max((b.limit+largeUnits-1)/largeUnits, 1))
}

// turn waits until an object of n units may be fetched.
func (b *bringing) turn(ctx context.Context, n, size int64) error {
	if err := b.units.Acquire(ctx, n); err != nil {
		return err
	}
	if err := b.pace(ctx, size); err != nil {
		b.units.Release(n)
		return err
	}
	for b.yields != nil && b.yields() && b.under.Load() > 0 {
		select {
		case <-ctx.Done():
			b.units.Release(n)
			return ctx.Err()
		case <-time.After(yieldPause):
		}
	}
	return nil
}

// pace waits while more small objects would not come sooner, unless somebody chose
// how many are to be fetched at once.
func (b *bringing) pace(ctx context.Context, size int64) error {
	for b.parallel == 0 && size >= 0 && size <= cache.BlockSize && b.under.Load() >= int64(b.cache.WarmAtOnce()) {
		select {
		case <-b.brings:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// landed notes the end of an object's way.
func (b *bringing) landed() {
	b.under.Add(-1)
	select {
	case b.brings <- struct{}{}:
	default:
	}
}

// yieldPause is between two looks at whether somebody waits.
const yieldPause = 2 * time.Millisecond

// one brings one object, and notes how that went.
func (b *bringing) one(ctx context.Context, index uint32, obj manifest.Object) {
	obj, err := b.content.resolve(ctx, obj)
	if err == nil && obj.Pin.Kind == manifest.PinNone {
		b.skip()
		return
	}
	if err == nil {
		err = b.silent(obj.Ref)
	}
	var before, size int64
	if err == nil {
		before, size, err = b.fly(ctx, obj)
	}
	if ctx.Err() == nil { // else it is neither done nor failed
		b.note(index, obj, before, size, err)
	}
}

// fly brings obj; before is what was on disk of it.
func (b *bringing) fly(ctx context.Context, obj manifest.Object) (before, size int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &flight{obj, cancel}
	b.mu.Lock()
	b.flights[f] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.flights, f)
		b.mu.Unlock()
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}()
	if size, err = b.cache.Size(ctx, obj); err != nil {
		return 0, 0, err
	}
	if !b.claim(size) {
		return 0, size, errNoRoom
	}
	before = b.cache.Inspect(obj).Cached
	b.lane.RLock()
	err = b.warm(ctx, obj)
	b.lane.RUnlock()
	if manifest.KindOf(err) == manifest.KindLimit {
		err = b.alone(ctx, obj)
	}
	return before, size, err
}

func (b *bringing) warm(ctx context.Context, obj manifest.Object) error {
	if b.keep == KeepOn {
		return b.cache.Keep(ctx, obj, true)
	}
	return b.cache.Warm(ctx, obj)
}

// alone tries again while nothing else of the job is under way: many objects at
// once can want more room than eviction makes in time. When that fails too, the job
// has to stop.
func (b *bringing) alone(ctx context.Context, obj manifest.Object) error {
	b.lane.Lock()
	defer b.lane.Unlock()
	for range aloneTries {
		if err := b.readThrough(ctx, obj); err != nil {
			return err
		}
		if err := b.warm(ctx, obj); manifest.KindOf(err) != manifest.KindLimit {
			return err
		}
	}
	err := b.full("no room for " + obj.Ref)
	b.stop(err)
	return err
}

const aloneTries = 3

// readThrough reads all of obj: what was fetched and not written stays in memory for
// its readers, and would be taken for here.
func (b *bringing) readThrough(ctx context.Context, obj manifest.Object) error {
	buf := make([]byte, 1<<20)
	for off := int64(0); ; off += int64(len(buf)) {
		if _, err := b.cache.ReadAt(ctx, obj, buf, off); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// silent is the error for a source that gives no answer.
func (b *bringing) silent(ref string) error {
	lasts, err := b.outages.over(ref, b.began)
	if lasts == 0 {
		return nil
	}
	return &silentError{&manifest.Error{Kind: manifest.KindUnreachable, Op: "read", Ref: ref,
		Msg: fmt.Sprintf("no answer for %s", lasts.Round(time.Second)), Err: err}}
}

// silentError is of an object that was not asked for to the end.
type silentError struct{ error }

func (s *silentError) Unwrap() error { return s.error }
