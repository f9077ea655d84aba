package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

var errNoRoom error = &manifest.Error{Kind: manifest.KindLimit, Op: "fill", Msg: "no room for it in the cache"}

// claim takes room for an object of a job that brings what fits.
func (b *bringing) claim(size int64) bool {
	most, _ := room(b.cache.Stats())
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.whole && b.brought+size > most {
		return false
	}
	b.brought += size
	return true
}

// skip counts a file that nothing pins.
func (b *bringing) skip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result.Skipped++
	b.total.Files++
}

// maxCanaries is how many objects tell that a job evicts what it brought.
const maxCanaries = 2

// note notes what came of an object.
func (b *bringing) note(index uint32, obj manifest.Object, before, size int64, err error) {
	path := ""
	if err != nil {
		path, _ = b.snap.Path(index)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Files++
	if err != nil {
		b.failed(path, obj, size, err)
		return
	}
	b.result.Files++
	b.result.Bytes += size
	b.total.Bytes += size
	if obj.Size < 0 {
		b.total.TotalBytes += size
	}
	if before == size {
		b.result.Here++
	} else {
		b.result.Fetched++
		b.result.FetchedBytes += size - before
	}
	if size > 0 && len(b.canaries) < maxCanaries {
		b.canaries = append(b.canaries, obj)
	}
}

// failed notes a failure; mu is held.
func (b *bringing) failed(path string, obj manifest.Object, size int64, err error) {
	if err == errNoRoom {
		b.leftOut++
		return
	}
	b.brought -= size
	b.lastErr = err
	var silent *silentError
	if errors.As(err, &silent) {
		b.result.Silent, err = silent.error, silent.error
	}
	if b.result.FailedCount++; len(b.result.Failed) >= maxWarmFailures {
		return
	}
	f := WarmFailure{Path: path, Ref: obj.Ref, Error: b.content.redact(err.Error()), Kind: manifest.KindOf(err)}
	var typed *manifest.Error
	if errors.As(err, &typed) {
		f.Expected, f.Found = typed.Expected, typed.Found
	}
	b.result.Failed = append(b.result.Failed, f)
}

// outcome gives the result; the job has ended.
func (b *bringing) outcome() WarmResult {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result
}

// watchEach is how often a job is looked at, and reports.
const watchEach = 100 * time.Millisecond

// watch looks at the job until ended is called: reports, finds sources that are
// silent, and a cache that is full.
func (b *bringing) watch(ctx context.Context) (ended func()) {
	b.tell() // who interrupts the job early is told of how much too
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with the job
		defer close(done)
		tick := time.NewTicker(watchEach)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			b.patrol()
		}
	}()
	return func() {
		close(stop)
		<-done
		b.tell()
	}
}

func (b *bringing) patrol() {
	b.tell()
	for _, f := range b.inFlight() {
		if err := b.silent(f.obj.Ref); err != nil {
			f.cancel(err)
		}
	}
	b.checkCanaries()
}

func (b *bringing) inFlight() []*flight {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*flight, 0, len(b.flights))
	for f := range b.flights {
		list = append(list, f)
	}
	return list
}

// checkCanaries stops a job that pushes out what it brought.
func (b *bringing) checkCanaries() {
	evicted := b.cache.Stats().Evicted
	if evicted == b.evicted {
		return
	}
	b.evicted = evicted
	b.mu.Lock()
	canaries := b.canaries
	b.mu.Unlock()
	for _, obj := range canaries {
		if b.cache.Inspect(obj).Cached > 0 {
			return
		}
	}
	if len(canaries) > 0 {
		b.stop(b.full("what came first is evicted already"))
	}
}

// progress is how far the job is, with what has come of objects under way.
func (b *bringing) progress() WarmProgress {
	partly := int64(0)
	for _, f := range b.inFlight() {
		if f.obj.Size > settled {
			partly += b.cache.Inspect(f.obj).Cached
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.total
	p.Bytes = min(p.Bytes+partly, max(p.TotalBytes, p.Bytes))
	return p
}

func (b *bringing) tell() {
	if b.report != nil {
		b.report(b.progress())
	}
}
