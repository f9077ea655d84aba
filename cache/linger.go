package cache

import (
	"container/list"
	"sync"
	"time"
)

// lingerMax is how long a part that is not kept waits for its readers.
const lingerMax = 5 * time.Second

// lingerSpared is how long it waits in any case but that a demand wants its memory.
const lingerSpared = 2 * time.Second

// lingering holds complete parts that are not on disk, or that a reader is expected
// to come for: what was fetched beyond one read stays until it was read, or memory is
// wanted, or lingerMax passed.
type lingering struct {
	c  *Cache
	mu sync.Mutex
	// list is of *lingerer, oldest first.
	list  list.List
	items map[*part]*list.Element
}

type lingerer struct {
	o *object
	p *part
}

// add takes over p from its fetch.
func (l *lingering) add(o *object, p *part) {
	close(p.settled)
	if p.consumed() || l.c.budget.waiting.Load() > 0 || l.c.ctx.Err() != nil {
		l.drop(lingerer{o, p})
		return
	}
	l.c.table.hold(o)
	l.mu.Lock()
	defer l.mu.Unlock()
	p.since = time.Now()
	l.items[p] = l.list.PushBack(lingerer{o, p})
}

func (l *lingering) drop(x lingerer) {
	x.o.mu.Lock()
	x.o.remove(x.p)
	x.o.mu.Unlock()
	l.c.unref(x.p)
}

// consumed notes a read of n bytes of p and drops it when there were as many as
// it has: the kernel asks for several pieces at once, and the last one may come
// before others.
func (l *lingering) consumed(p *part, n int64) {
	if p.taken.Add(n); !p.consumed() {
		return
	}
	l.mu.Lock()
	e := l.items[p]
	if e == nil {
		l.mu.Unlock()
		return
	}
	x := l.remove(e)
	l.mu.Unlock()
	l.giveUp(x)
}

// remove takes e off the list; l.mu is held.
func (l *lingering) remove(e *list.Element) lingerer {
	x := l.list.Remove(e).(lingerer)
	delete(l.items, x.p)
	return x
}

func (l *lingering) giveUp(x lingerer) {
	l.drop(x)
	l.c.table.release(x.o)
}

// reclaim makes room for n bytes of buffers: for a demand, or only for read-ahead.
func (c *Cache) reclaim(n int64, demand bool) {
	if n = c.linger.reclaim(n, demand); n > 0 {
		c.writes.reclaim(n, demand)
	}
}

// reclaim drops the oldest parts, n bytes of them, and gives how much is still
// wanted. What came lately was fetched for a reader that is about to come for it:
// other read-ahead does not take its place.
func (l *lingering) reclaim(n int64, demand bool) int64 {
	l.take(func(x lingerer) bool {
		was := n > 0 && (demand || time.Since(x.p.since) >= lingerSpared)
		if was {
			n -= x.p.n
		}
		return was
	})
	return n
}

// expire drops what lingers for too long.
func (l *lingering) expire(max time.Duration) {
	l.take(func(x lingerer) bool { return time.Since(x.p.since) >= max })
}

func (l *lingering) take(which func(lingerer) bool) {
	var taken []lingerer
	l.mu.Lock()
	for e := l.list.Front(); e != nil; {
		next := e.Next()
		if which(e.Value.(lingerer)) {
			taken = append(taken, l.remove(e))
		}
		e = next
	}
	l.mu.Unlock()
	for _, x := range taken {
		l.giveUp(x)
	}
}

func newLingering(c *Cache) *lingering {
	return &lingering{c: c, items: map[*part]*list.Element{}}
}
