package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// FillStatus is how far the fill of a mount is.
type FillStatus struct {
	// State is FillRunning, FillDone, FillFull, FillWaiting or FillFailed.
	State      string `json:"state"`
	Files      int64  `json:"files"` // wholly on disk
	TotalFiles int64  `json:"total_files"`
	Bytes      int64  `json:"bytes"`
	TotalBytes int64  `json:"total_bytes"`
	Failed     int64  `json:"failed"`   // files
	LeftOut    int64  `json:"left_out"` // files for which the cache has no room
	LastError  string `json:"last_error,omitempty"`
}

// States of a fill.
const (
	FillRunning = "running"
	FillDone    = "done"    // all was tried; Failed may have some
	FillFull    = "full"    // what fits is here
	FillWaiting = "waiting" // for a source that did not answer; it goes on then
	FillFailed  = "failed"  // LastError stopped it
)

// A fill takes a fillShare-th of the requests and of the memory, and rests between
// two tries of what a source did not answer for.
const (
	fillShare    = 4
	fillRest     = time.Minute
	fillRestMost = 15 * time.Minute
)

// filling is the fill of one mount.
type filling struct {
	ctx context.Context
	end context.CancelFunc

	mu     sync.Mutex // guards what follows
	status FillStatus
	now    *bringing // under way
}

// startFill begins to bring the version of m in the background, if that is wanted.
// It ends with the mount.
func (d *Daemon) startFill(m *mount) {
	if !m.req.Fill {
		return
	}
	m.users.Add(1)
	d.tasks.Go(func() {
		defer m.users.Done()
		m.fill.run(d, m)
	})
}

// endFill ends the fill, if there is one.
func (m *mount) endFill() {
	if m.fill != nil {
		m.fill.end()
	}
}

func (d *Daemon) newFilling() *filling {
	f := &filling{status: FillStatus{State: FillRunning}}
	f.ctx, f.end = context.WithCancel(d.ending)
	return f
}

// run brings the version, again and again while sources do not answer.
func (f *filling) run(d *Daemon, m *mount) {
	for rest := fillRest; ; rest = min(2*rest, fillRestMost) {
		again := f.once(d, m)
		if !again || f.ctx.Err() != nil {
			return
		}
		select {
		case <-f.ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// once brings what is missing; again tells that another try may bring more.
func (f *filling) once(d *Daemon, m *mount) (again bool) {
	b := newBringing(d, m.tree.Snapshot, m.found, bringOptions{op: "fill", ref: m.ref, yields: d.reads.waiting,
		parallel: max(1, int(orElse(d.o.Cache.Requests, 128))/fillShare), memory: orElse(d.o.Cache.MemoryBytes, 256<<20) / fillShare})
	f.set(FillRunning, b)
	err := b.run(f.ctx)
	state := FillDone
	switch {
	case f.ctx.Err() != nil:
		return false
	case manifest.KindOf(err) == manifest.KindLimit || err == nil && b.left() > 0:
		state = FillFull
	case err != nil:
		state = FillFailed
	case b.passing():
		state = FillWaiting
	}
	b.fail(err)
	f.set(state, b)
	s := f.get(d.o.Redact)
	d.log.Info("filled", "dir", m.req.Dir, "ref", m.ref, "state", s.State, "files", s.Files, "of", s.TotalFiles, "failed", s.Failed, "left_out", s.LeftOut)
	return state == FillWaiting
}

func (f *filling) set(state string, b *bringing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.State, f.now = state, b
}

// get tells how far it is.
func (f *filling) get(redact func(string) string) *FillStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if f.now == nil {
		return &s
	}
	p := f.now.progress()
	s.TotalFiles, s.Bytes, s.TotalBytes = p.TotalFiles, p.Bytes, p.TotalBytes
	f.now.mu.Lock()
	defer f.now.mu.Unlock()
	s.Files, s.Failed, s.LeftOut = f.now.result.Files, f.now.result.FailedCount, f.now.leftOut
	if f.now.lastErr != nil {
		s.LastError = redact(f.now.lastErr.Error())
	}
	return &s
}

// left is how many files there was no room for.
func (b *bringing) left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leftOut
}

// passing tells whether what failed may go well later.
func (b *bringing) passing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result.FailedCount > 0 && (b.result.Silent != nil || passingKind(manifest.KindOf(b.lastErr)))
}

func passingKind(k manifest.Kind) bool {
	switch k {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindDenied:
		return true
	}
	return false
}

// fail notes what stopped it.
func (b *bringing) fail(err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastErr = err
}

// reads counts the reads below mounts that are under way.
type reads struct {
	now   atomic.Int64
	ended atomic.Int64 // when the last one did, unix ns
}

// patience is how long no read may end while there are some, before they are taken
// to wait for a source.
const patience = time.Millisecond

func (r *reads) begin() { r.now.Add(1) }

func (r *reads) end() {
	r.ended.Store(time.Now().UnixNano())
	r.now.Add(-1)
}

// waiting tells whether a reader waits for a source.
func (r *reads) waiting() bool {
	return r.now.Load() > 0 && time.Now().UnixNano()-r.ended.Load() > int64(patience)
}
