package cache

import (
	"container/list"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"syscall"
)

const (
	shardCount = 16
	idleMax    = 16 // idle objects per shard: descriptors and tables that stay
)

// table holds the objects in use, and the last idle ones, by key.
type table struct {
	c      *Cache
	idle   int // idle objects per shard at most
	shards [shardCount]shard
}

type shard struct {
	mu   sync.Mutex
	m    map[key]*object
	idle list.List // of *object, newest first
}

func newTable(c *Cache) *table {
	t := &table{c: c, idle: idleFor()}
	for i := range t.shards {
		t.shards[i].m = map[key]*object{}
	}
	return t
}

// idleFor gives how many idle objects of a shard stay, each of which may hold two
// descriptors: a quarter of all that this process may have are theirs, at most.
func idleFor() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return idleMax
	}
	return int(min(idleMax, limit.Cur/(4*2*shardCount)))
}

func (t *table) shard(k key) *shard { return &t.shards[k[0]%shardCount] }

// acquire gives the object of tg and counts a user, who calls release.
func (t *table) acquire(tg target) *object {
	s := t.shard(tg.key)
	for {
		s.mu.Lock()
		o := s.m[tg.key]
		if o == nil {
			o = t.newObject(tg)
			s.m[tg.key] = o
			s.mu.Unlock()
			o.load()
			close(o.ready)
			return o
		}
		if o.gone {
			ready := o.ready
			s.mu.Unlock()
			<-ready // the evictor's one commit to the index
			continue
		}
		s.use(o)
		s.mu.Unlock()
		<-o.ready // one read of the index
		o.adopt(tg.Object)
		return o
	}
}

func (t *table) newObject(tg target) *object {
	o := &object{target: tg, c: t.c, refs: 1, ready: make(chan struct{})}
	if !tg.small() {
		o.chunks, o.dirty = map[int64]*chunk{}, map[int64]struct{}{}
	}
	return o
}

func (s *shard) use(o *object) {
	o.refs++
	if o.idle != nil {
		s.idle.Remove(o.idle)
		o.idle = nil
	}
}

// hold counts one more user of an object that the caller holds.
func (t *table) hold(o *object) {
	s := t.shard(o.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use(o)
}

// release ends a use. The last one leaves a large object idle for a while.
func (t *table) release(o *object) {
	s := t.shard(o.key)
	s.mu.Lock()
	o.refs--
	if o.refs > 0 {
		s.mu.Unlock()
		return
	}
	drop := o
	if !o.small() && (!o.volatile || t.c.health.bypassed()) {
		o.idle = s.idle.PushFront(o)
		drop = nil
		if s.idle.Len() > t.idle {
			drop = s.idle.Remove(s.idle.Back()).(*object)
			drop.idle = nil
		}
	}
	if drop != nil {
		delete(s.m, drop.key)
	}
	s.mu.Unlock()
	if drop != nil {
		drop.closeFiles()
	}
}

// detach takes an object that nobody uses out of everybody's reach until
// attach; false when it is in use. Only the writer calls it.
func (t *table) detach(k key) bool {
	s := t.shard(k)
	s.mu.Lock()
	o := s.m[k]
	if o != nil && (o.refs > 0 || o.gone) {
		s.mu.Unlock()
		return false
	}
	if o != nil {
		s.idle.Remove(o.idle)
	}
	s.m[k] = &object{gone: true, ready: make(chan struct{})}
	s.mu.Unlock()
	if o != nil {
		o.closeFiles()
	}
	return true
}

func (t *table) attach(k key) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.m[k]
	delete(s.m, k)
	close(o.ready)
}

// peek calls fn with the object of k if it is held in memory.
func (t *table) peek(k key, fn func(o *object)) {
	s := t.shard(k)
	s.mu.Lock()
	o := s.m[k]
	if o == nil || o.gone {
		s.mu.Unlock()
		return
	}
	s.use(o)
	s.mu.Unlock()
	<-o.ready
	fn(o)
	t.release(o)
}

// close closes the files of all idle objects.
func (t *table) close() {
	var all []*object
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		all = append(all, slices.Collect(maps.Values(s.m))...)
		s.mu.Unlock()
	}
	for _, o := range all {
		o.closeFiles()
	}
}

func hexKey(k key) string { return hex.EncodeToString(k[:]) }

func (c *Cache) objectPath(k key) string {
	name := hexKey(k)
	return c.dir.join(objectsName, name[:2], name)
}
