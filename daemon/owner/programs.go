package owner

import "slices"

// self is the program of this process, also when its file is gone.
const self = "/proc/self/exe"

// patience is how often in a row a program's workers may end before they are ready.
const patience = 3

// programs are those that may be started. The first is wanted; each gives way to the
// next when it does not work, the last to the first.
type programs struct {
	all    []string
	at     int
	failed int // ends in a row before ready
}

func newPrograms(path string) programs {
	var p programs
	if path == "" {
		path = self
	}
	p.set(path)
	return p
}

func (p *programs) set(paths ...string) {
	paths = append(paths, self)
	p.all, p.at, p.failed = paths[:0:0], 0, 0
	for _, path := range paths {
		if !slices.Contains(p.all, path) {
			p.all = append(p.all, path)
		}
	}
}

// current is the one to start.
func (p *programs) current() string { return p.all[p.at] }

// prefer makes path the one that is wanted, before the one that works.
func (p *programs) prefer(path string) { p.set(path, p.current()) }

// skip goes on to the next one: the current one can't be started.
func (p *programs) skip() { p.at, p.failed = (p.at+1)%len(p.all), 0 }

// unready takes note of a worker that ended before it was ready.
func (p *programs) unready() {
	if p.failed++; p.failed >= patience {
		p.skip()
	}
}

// proved takes note of a worker that is ready.
func (p *programs) proved() { p.failed = 0 }
