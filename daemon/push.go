package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
)

// kernel is what can be done for readers before they ask. *fusefs.Mounted is one.
type kernel interface {
	// Push gives the content of a file; see fusefs.Mounted.Push.
	Push(slot, index uint32, content func() []byte) error
	// Place says where a file's name is listed; see fusefs.Mounted.Place.
	Place(t *fusefs.Tree, slot, index uint32) (fusefs.Place, error)
	// Device is the number of the mount; 0 when it is not known.
	Device() uint64
}

var _ kernel = (*fusefs.Mounted)(nil)

// pushes brings the names of files that come next to the kernel, and their contents
// as far as they are in the cache: their reader then asks for neither, and on a
// virtual machine each question costs two wake-ups.
type pushes struct {
	peek func(obj manifest.Object, p []byte) bool
	list func(ctx context.Context, all []lister.Request) error // nil: names are not listed

	bufs chan []byte // of the jobs that may run now

	mu     sync.Mutex // guards all below
	kernel kernel     // nil: not mounted yet, or any more
	jobs   sync.WaitGroup
}

const (
	// maxJobs bounds the jobs of one mount that run at once.
	maxJobs = 4
	// maxPushed is the largest file that is pushed: a larger one takes longer to read
	// than to ask for.
	maxPushed = 64 << 10
	// firstPushed is how many files are pushed at first, mostPushed when that went well.
	firstPushed, mostPushed = 8, 64
	// markerBefore is how long before the end of what was pushed the marker is.
	markerBefore = 8
	// leastCool and mostCool are how many reads pass before pushing is tried again where
	// the cache was not ahead of the reader.
	leastCool, mostCool = 8, 128
	// lead is how many files are left to a reader that has caught up: to push one takes a
	// fraction of what it takes him to ask.
	lead = 4
	// mostListed is how many names are listed at once, before the reader is listAhead
	// near to the first.
	mostListed = 512
	listAhead  = 2 * mostPushed
	// mostPlaces bounds the directories of one job.
	mostPlaces = 16
	// jobWait bounds a job.
	jobWait = 10 * time.Second
)

func newPushes(peek func(manifest.Object, []byte) bool, list func(context.Context, []lister.Request) error) *pushes {
	p := &pushes{peek: peek, list: list, bufs: make(chan []byte, maxJobs)}
	for range maxJobs {
		p.bufs <- nil
	}
	return p
}

// serve makes p push to k.
func (p *pushes) serve(k kernel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kernel = k
}

// close ends all jobs and waits for them.
func (p *pushes) close() {
	p.mu.Lock()
	p.kernel = nil
	p.mu.Unlock()
	p.jobs.Wait()
}

// job is a run of files that are brought to the kernel.
type job struct {
	by     fusefs.At      // what made it
	places []fusefs.Place // what is listed first
	from   uint32         // nodes that are pushed
	to     uint32         //
	marker uint32         // is left out, so that its READ tells where the reader is

	at    atomic.Uint32 // the node that the reader asked for last
	ended atomic.Bool
	// these are set before ended is
	reached uint32 // the first that was not pushed
	failed  bool
	judged  bool // the front took note of it; the front's own
}

// start runs j unless too many run. What made it must not have been answered.
func (p *pushes) start(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil {
		return false
	}
	select {
	case buf := <-p.bufs:
		k, release := p.kernel, j.by.Hold()
		p.jobs.Go(func() {
			defer release()
			p.bufs <- p.run(k, j, buf)
		})
		return true
	default:
		return false
	}
}

// place gives the place of file index of the version of by; false when there is none
// that can be listed.
func (p *pushes) place(by fusefs.At, index uint32) (fusefs.Place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.kernel.Device() == 0 {
		return fusefs.Place{}, false
	}
	at, err := p.kernel.Place(by.Tree, by.Slot, index)
	return at, err == nil
}

// run does j. It gives buf back, which it may have made.
func (p *pushes) run(k kernel, j *job, buf []byte) []byte {
	defer j.ended.Store(true)
	j.reached, j.failed = j.from, true
	ctx, cancel := context.WithTimeout(context.Background(), jobWait)
	defer cancel()
	if len(j.places) > 0 && p.listPlaces(ctx, k, j.places) != nil {
		return buf
	}
	if buf == nil {
		buf = make([]byte, maxPushed)
	}
	pushed := uint32(0)
	for ; j.reached < j.to && ctx.Err() == nil; j.reached++ {
		if at := j.at.Load(); j.reached <= at+1 {
			j.reached = at + lead // it came here first, and asks for what it finds missing
		} else if j.reached != j.marker {
			if !p.push(k, j, j.reached, buf) {
				return buf
			}
			pushed++
		}
	}
	j.failed = pushed < (j.to-j.from)/2
	return buf
}

// listPlaces has the names of places listed.
func (p *pushes) listPlaces(ctx context.Context, k kernel, places []fusefs.Place) error {
	var all []lister.Request
	for _, at := range places {
		all = append(all, lister.Request{Dir: at.Dir, Device: k.Device(), From: at.From, Names: at.Names})
	}
	return p.list(ctx, all)
}

// push pushes file i if it should be; false when it can't.
func (p *pushes) push(k kernel, j *job, i uint32, buf []byte) bool {
	s := j.by.Tree.Snapshot
	n, err := s.Stat(i)
	if err != nil {
		return false
	}
	if n.Dir || n.Shadowed || n.Size <= 0 || n.Size > maxPushed {
		return true
	}
	obj, err := s.Object(i)
	if err != nil || obj.Size != n.Size {
		return false
	}
	return k.Push(j.by.Slot, i, func() []byte {
		if !p.peek(obj, buf[:n.Size]) {
			return nil
		}
		return buf[:n.Size]
	}) == nil
}
