package cache

import (
	"container/list"
	"sync"
	"time"
)

// writes gives parts their turn to be written, in order, some at once. When memory
// is wanted and the disk is slower than what fills it, the oldest in the queue are
// given up: they can be fetched again (mend), and no reader waits for a disk.
type writes struct {
	c  *Cache
	mu sync.Mutex
	// busy is how many are being written.
	busy int
	// list is of *turn, oldest first.
	list list.List
	// slow: the disk was found to be too slow then, until.
	slow time.Time
}

type turn struct {
	p     *part
	since time.Time
	mine  chan bool
}

const (
	writesMax = 4 // parts being written at once
	// starvedAfter is how long a part may wait for the disk while somebody wants
	// its memory: above it the disk is slow. A queue of three quarters of the
	// default budget is written in that time at 0.8 GB/s.
	starvedAfter = 250 * time.Millisecond
	// slowFor is for how long a disk that was slow is not waited for at all.
	slowFor = 5 * time.Second
)

// wait waits for p's turn, whose end is told by done. False: p is not to be written.
func (w *writes) wait(p *part) bool {
	w.mu.Lock()
	if w.busy < writesMax {
		w.busy++
		w.mu.Unlock()
		return true
	}
	t := &turn{p: p, since: time.Now(), mine: make(chan bool, 1)}
	e := w.list.PushBack(t)
	w.mu.Unlock()
	select {
	case mine := <-t.mine:
		return mine
	case <-w.c.ctx.Done():
		w.leave(e, t)
		return false
	}
}

// leave takes t out of the queue; a turn that came meanwhile goes to the next.
func (w *writes) leave(e *list.Element, t *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case mine := <-t.mine:
		if mine {
			w.next()
		}
	default:
		w.list.Remove(e)
	}
}

func (w *writes) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next()
}

// next hands a turn on; w.mu is held.
func (w *writes) next() {
	e := w.list.Front()
	if e == nil {
		w.busy--
		return
	}
	w.list.Remove(e).(*turn).mine <- true
}

// calm tells whether nothing waits for the disk.
func (w *writes) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list.Len() == 0 && w.busy < writesMax
}

// reclaim gives up the oldest parts that wait for a slow disk, n bytes of them:
// those that were read already and, for a demand, the others too. It gives how
// much is still wanted.
func (w *writes) reclaim(n int64, demand bool) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for e := w.list.Front(); e != nil && n > 0; {
		t, next := e.Value.(*turn), e.Next()
		starved := now.Sub(t.since) >= starvedAfter
		if !starved && now.After(w.slow) {
			return n // so are all behind it
		}
		if t.p.consumed() || demand {
			if starved {
				w.slow = now.Add(slowFor)
			}
			w.list.Remove(e)
			w.c.n.unkept.Add(1)
			n -= t.p.n
			t.mine <- false
		}
		e = next
	}
	return n
}
