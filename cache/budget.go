package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// budget hands out the buffers of fetches and bounds their sum. Buffers of
// 64 KiB and more are mapped, not allocated: page-aligned, outside the garbage
// collector's arithmetic, and given back to the host when idle; see newBuffer.
type budget struct {
	limit   int64
	sem     *semaphore.Weighted
	waiting atomic.Int64
	// reclaim asks for n bytes of buffers that are only held in case of a reader.
	reclaim func(n int64)
	// soon is the same for who may not wait; somebody else does it.
	soon chan int64

	mu     sync.Mutex
	free   map[int64][][]byte // by class
	total  int64              // handed out and free
	inUse  int64
	highMk int64
	spare  int64 // the least that was idle since the last trim
}

const (
	minClass  = 4 << 10
	aheadPart = 4 // read-ahead leaves an aheadPart-th of the budget to demand
)

func newBudget(limit int64) *budget {
	return &budget{limit: limit, sem: semaphore.NewWeighted(limit), free: map[int64][][]byte{}, reclaim: func(int64) {}, soon: make(chan int64, 1)}
}

func classOf(n int64) int64 {
	class := int64(minClass)
	for class < n {
		class *= 2
	}
	if class == minClass || class > mapsFrom {
		return class
	}
	// In eighths below: contents of 8 KiB and their seals would take 16 else.
	half := class / 2
	return half + (n-half+half/8-1)/(half/8)*(half/8)
}

// get waits for a buffer of n bytes.
func (b *budget) get(ctx context.Context, n int64) ([]byte, error) {
	class := classOf(n)
	if !b.sem.TryAcquire(class) {
		b.waiting.Add(1)
		defer b.waiting.Add(-1)
		defer b.reclaiming(class)()
		if err := b.sem.Acquire(ctx, class); err != nil {
			return nil, err
		}
	}
	return b.take(class)
}

// reclaimEvery is how often who waits for memory asks for it to be given up.
const reclaimEvery = 50 * time.Millisecond

// reclaiming asks for n bytes now and again, until it is stopped.
func (b *budget) reclaiming(n int64) (stop func()) {
	b.reclaim(n)
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(reclaimEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.reclaim(n)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// try gives a buffer of n bytes if there is one to spare for read-ahead.
func (b *budget) try(n int64) ([]byte, bool) {
	class := classOf(n)
	if b.used()+class > b.limit-b.limit/aheadPart || !b.sem.TryAcquire(class) {
		select {
		case b.soon <- class:
		default:
		}
		return nil, false
	}
	buf, err := b.take(class)
	return buf, err == nil
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}

// take finds or makes a buffer; the semaphore was taken for it.
func (b *budget) take(class int64) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if buf := b.idle(class); buf != nil {
		b.inUse += class
		b.spare = min(b.spare, b.total-b.inUse)
		return buf, nil
	}
	for b.total+class > b.limit && b.dropOne() {
	}
	buf, err := newBuffer(class)
	if err != nil {
		b.sem.Release(class)
		return nil, err
	}
	b.total += class
	b.inUse += class
	b.highMk = max(b.highMk, b.total)
	return buf, nil
}

// put takes a buffer back.
func (b *budget) put(buf []byte) {
	class := int64(cap(buf))
	b.mu.Lock()
	b.free[class] = append(b.free[class], buf[:class])
	b.inUse -= class
	b.mu.Unlock()
	b.sem.Release(class)
}

// dropOne frees one idle buffer; b.mu is held.
func (b *budget) dropOne() bool {
	for class := range b.free {
		if buf := b.idle(class); buf != nil {
			b.total -= class
			freeBuffer(buf)
			return true
		}
	}
	return false
}

// trim frees half of the buffers that nobody needed since it was called before; called
// once a second. To free those of a reader who is about to need them, and to have the
// kernel clear new ones, costs more than all else that is done with their bytes.
func (b *budget) trim() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for least := b.total - b.inUse - (b.spare+1)/2; b.total-b.inUse > least; {
		if !b.dropOne() {
			break
		}
	}
	b.spare = b.total - b.inUse
}

// close frees every idle buffer.
func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.dropOne() {
	}
}

// idle gives an unused buffer of class, if one is there; b.mu is held.
func (b *budget) idle(class int64) []byte {
	list := b.free[class]
	if len(list) == 0 {
		return nil
	}
	buf := list[len(list)-1]
	b.free[class] = list[:len(list)-1]
	return buf
}
