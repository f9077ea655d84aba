package daemon

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// planBatch is how many files one task of plan looks at.
const planBatch = 256

// plan finds out what is missing; it asks the cache's index alone.
func (b *bringing) plan(ctx context.Context, start snapshot.Node) error {
	b.todo = make([]bool, b.snap.Nodes())
	return b.lookAll(ctx, start, func(index uint32, l look) { b.todo[index] = !l.done })
}

// look is what is known of one file.
type look struct {
	size int64 // 0 when it is not known
	here bool  // all of it is on disk
	done bool  // and nothing is left to be done
}

// tally sums up looks.
type tally struct {
	files, bytes         int64
	here, hereBytes      int64
	doneFiles, doneBytes int64
}

func (t *tally) add(l look) {
	t.files++
	t.bytes += l.size
	if l.here {
		t.here++
		t.hereBytes += l.size
	}
	if l.done {
		t.doneFiles++
		t.doneBytes += l.size
	}
}

func (t *tally) merge(u tally) {
	t.files, t.bytes = t.files+u.files, t.bytes+u.bytes
	t.here, t.hereBytes = t.here+u.here, t.hereBytes+u.hereBytes
	t.doneFiles, t.doneBytes = t.doneFiles+u.doneFiles, t.doneBytes+u.doneBytes
}

// lookAll looks at all files, some at once, calls fn for each, and sets the totals.
func (b *bringing) lookAll(ctx context.Context, start snapshot.Node, fn func(index uint32, l look)) error {
	sum, err := b.count(ctx, start, fn)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = WarmProgress{Files: sum.doneFiles, TotalFiles: sum.files, Bytes: sum.doneBytes, TotalBytes: sum.bytes}
	b.result.Files, b.result.Bytes, b.result.Here = sum.doneFiles, sum.doneBytes, sum.doneFiles
	b.brought = sum.doneBytes
	return nil
}

func (b *bringing) count(ctx context.Context, start snapshot.Node, fn func(index uint32, l look)) (tally, error) {
	var mu sync.Mutex
	var sum tally
	err := b.batches(ctx, start, func(indexes []uint32) error {
		part, err := b.lookMany(ctx, indexes, fn)
		mu.Lock()
		defer mu.Unlock()
		sum.merge(part)
		return err
	})
	return sum, err
}

// batches calls work with some files at a time, a few times at once.
func (b *bringing) batches(ctx context.Context, start snapshot.Node, work func(indexes []uint32) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(min(runtime.GOMAXPROCS(0), 8))
	var batch []uint32
	flush := func() {
		some := batch
		batch = nil
		group.Go(func() error { return work(some) })
	}
	err := b.each(inner, start, func(index uint32) error {
		if batch = append(batch, index); len(batch) == planBatch {
			flush()
		}
		return nil
	})
	flush()
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (b *bringing) lookMany(ctx context.Context, indexes []uint32, fn func(index uint32, l look)) (sum tally, err error) {
	for _, i := range indexes {
		obj, err := b.snap.Object(i)
		if err != nil {
			return sum, err
		}
		l := b.look(ctx, obj)
		sum.add(l)
		fn(i, l)
	}
	return sum, ctx.Err()
}

// refresh makes what is here already the last used, if the job may have to evict:
// it is not to make room for the rest of its version.
func (b *bringing) refresh(ctx context.Context, start snapshot.Node) error {
	s := b.cache.Stats()
	most, _ := room(s)
	if s.Used+b.total.TotalBytes-b.total.Bytes <= most || b.total.Files == 0 {
		return nil
	}
	return b.batches(ctx, start, func(indexes []uint32) error {
		for _, i := range indexes {
			if b.todo[i] {
				continue
			}
			obj, err := b.snap.Object(i)
			if err != nil {
				return err
			}
			_, _ = b.cache.ReadAt(ctx, b.content.pinned(obj), make([]byte, 1), 0) // what can't be read is found out later
		}
		return ctx.Err()
	})
}

// settled is the size up to which an object is verified before it is cached.
const settled = 1 << 20

func (b *bringing) look(ctx context.Context, obj manifest.Object) look {
	obj = b.content.pinned(obj)
	if obj.Pin.Kind == manifest.PinNone {
		return look{size: max(obj.Size, 0)}
	}
	in := b.cache.Inspect(obj)
	size := obj.Size
	if size < 0 && in.Cached > 0 {
		size, _ = b.cache.Size(ctx, obj) // it was learned before the content came
	}
	l := look{size: max(size, 0), here: size == 0 || size > 0 && in.Cached == size}
	l.done = l.here && (size <= settled || in.Verified) && (b.keep != KeepOn || in.Kept || size == 0)
	return l
}

// room is how much content the cache can hold without pushing out what came last.
// Eviction begins a little below the limit.
func room(s cache.Stats) (bytes int64, byDisk bool) {
	limit, disk := s.Limit-s.Limit/16, s.Used+s.DiskFree-s.MinFree
	return max(min(limit, disk), 0), disk < limit
}

// fits refuses a version that the cache can't hold, before anything is fetched.
func (b *bringing) fits(ctx context.Context, start snapshot.Node) error {
	most, byDisk := room(b.cache.Stats())
	need := b.total.TotalBytes
	if need > most {
		var err error
		if need, err = b.unique(ctx, start, most); err != nil {
			return err
		}
	}
	if need <= most {
		return nil
	}
	hint := "raise --cache-size"
	if byDisk {
		hint = "free room on the file system of the cache, or use another --cache-dir"
	}
	return &manifest.Error{Kind: manifest.KindLimit, Op: b.op, Ref: b.ref,
		Msg:  fmt.Sprintf("does not fit into the cache: %d bytes are wanted, there is room for %d, %d are missing", need, most, need-most),
		Hint: hint + ", or bring a part with --path-prefix"}
}

// unique sums the sizes of the objects, each counted once however many files it is.
func (b *bringing) unique(ctx context.Context, start snapshot.Node, most int64) (sum int64, err error) {
	seen := map[uint64]struct{}{} // a prefix of a hash tells well enough
	err = b.each(ctx, start, func(index uint32) error {
		obj, err := b.snap.Object(index)
		if err != nil {
			return err
		}
		hash := obj.Key()
		k := binary.LittleEndian.Uint64(hash[:8])
		if _, ok := seen[k]; !ok {
			seen[k] = struct{}{}
			sum += max(obj.Size, 0)
		}
		return nil
	})
	return sum, err
}

// recount is for when something was evicted meanwhile: what is on disk now?
func (b *bringing) recount(ctx context.Context, start snapshot.Node) error {
	sum, err := b.count(ctx, start, func(uint32, look) {})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.result.Files - sum.here
	b.result.Files, b.result.Bytes = sum.here, sum.hereBytes
	if lost <= 0 {
		return nil
	}
	return b.full(fmt.Sprintf("%d files were evicted again", lost))
}

// full says that the cache holds no more.
func (b *bringing) full(why string) error {
	return &manifest.Error{Kind: manifest.KindLimit, Op: b.op, Ref: b.ref, Msg: "the cache is full: " + why,
		Hint: "raise --cache-size, or keep less with warm --unkeep"}
}

// unkeep ends the exemptions.
func (b *bringing) unkeep(ctx context.Context, start snapshot.Node) error {
	b.began = time.Now()
	return b.each(ctx, start, func(index uint32) error {
		obj, err := b.snap.Object(index)
		if err != nil {
			return err
		}
		if b.result.Files++; !b.cache.Inspect(obj).Kept {
			return nil
		}
		if err := b.cache.Keep(ctx, obj, false); err != nil {
			return err
		}
		b.result.Unkept++
		return nil
	})
}
