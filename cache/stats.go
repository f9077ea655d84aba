package cache

import (
	"sync/atomic"

	"github.com/pinfs/pinfs/manifest"
)

// Stats is what the cache holds and did since it was opened. Sizes are in bytes.
type Stats struct {
	Limit     int64 // content on disk at most
	Used      int64 // content on disk, written or about to be
	Objects   int64 // of which something is on disk
	DiskFree  int64 // of Dir's file system
	MinFree   int64 // what is left free of it
	IndexDisk int64 // what the index occupies, contents of small objects included

	Hits, Misses          int64 // reads
	HitBytes, MissBytes   int64
	Requests, RequestsNow int64 // to the source
	// Busy is how many parts are being fetched or written, and how many objects are being
	// checked: at 0 all that is complete is on disk, and verified if it can be.
	Busy                 int64
	FetchedBytes         int64
	Failed               int64 // requests
	Evicted              int64 // objects
	Damaged              int64 // blocks on disk that failed their check
	Mismatches           int64 // objects that were not what is recorded
	Unkept               int64 // parts fetched and not kept, for want of room or memory
	Prefetched           int64 // of Requests: begun by Prefetch
	Memory, MemoryPeak   int64 // of buffers
	MemoryLimit          int64
	DiskErrors, DiskFull int64
	IndexErrors          int64
	Bypassed             bool // reads go through to the source
}

type counters struct {
	hits, misses, hitBytes, missBytes     atomic.Int64
	requests, inFlight, aheadNow, arrived atomic.Int64
	failed, evicted, damaged, mismatches  atomic.Int64
	unkept, full, indexErrors, indexDisk  atomic.Int64
	prefetched, busy                      atomic.Int64
}

func (n *counters) hit(bytes int) {
	n.hits.Add(1)
	n.hitBytes.Add(int64(bytes))
}

func (n *counters) read(bytes int, waited bool) {
	if !waited {
		n.hit(bytes)
		return
	}
	n.misses.Add(1)
	n.missBytes.Add(int64(bytes))
}

// Stats gives the figures of now.
func (c *Cache) Stats() Stats {
	s := Stats{
		Hits: c.n.hits.Load(), Misses: c.n.misses.Load(), HitBytes: c.n.hitBytes.Load(), MissBytes: c.n.missBytes.Load(),
		Requests: c.n.requests.Load(), RequestsNow: c.n.inFlight.Load(), FetchedBytes: c.n.arrived.Load(),
		Failed: c.n.failed.Load(), Evicted: c.n.evicted.Load(), Damaged: c.n.damaged.Load(),
		Mismatches: c.n.mismatches.Load(), Unkept: c.n.unkept.Load(), IndexDisk: c.n.indexDisk.Load(),
		Prefetched: c.n.prefetched.Load(), Busy: c.n.busy.Load(),
		DiskErrors: c.health.total.Load(), DiskFull: c.n.full.Load(), IndexErrors: c.n.indexErrors.Load(),
		Bypassed: c.health.bypassed(), MemoryLimit: c.budget.limit,
	}
	c.quota.mu.Lock()
	s.Limit, s.MinFree, s.DiskFree = c.quota.limit, c.quota.floor, c.quota.freeBytes()
	s.Used, s.Objects = c.quota.used+c.quota.reserved, c.quota.objects
	c.quota.mu.Unlock()
	c.budget.mu.Lock()
	s.Memory, s.MemoryPeak = c.budget.total, c.budget.highMk
	c.budget.mu.Unlock()
	return s
}

// Inspection is what is known of one object here.
type Inspection struct {
	Cached    int64 // bytes on disk
	Verified  bool  // the whole matched its checksum
	Kept      bool  // never evicted
	LastError error // of the last fetch; nil after a good one
}

// Inspect tells what is here of obj; it asks nobody.
func (c *Cache) Inspect(obj manifest.Object) Inspection {
	if c.enter() != nil {
		return Inspection{}
	}
	defer c.leave()
	k := key(obj.Key())
	in := Inspection{LastError: c.failures.last(k)}
	known := false
	c.table.peek(k, func(o *object) {
		o.mu.Lock()
		defer o.mu.Unlock()
		known = !o.small()
		in.Cached, in.Verified, in.Kept = o.stored, o.has(flagVerified), o.has(flagKept)
	})
	if known {
		return in
	}
	if x := c.readable(); x != nil {
		if r, ok, _ := x.record(k); ok {
			in.Cached, in.Verified, in.Kept = r.stored, r.flags&flagVerified != 0, r.flags&flagKept != 0
		}
	}
	return in
}
