package backends

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// placesAge is how long it is trusted where links of places lead.
const placesAge = 10 * time.Second

// Path tells whether the file at an absolute path may be read, by how it is written.
// The error is a *Refusal.
func (r *Rules) Path(at string) error {
	if r == nil || r.places == nil {
		return nil
	}
	at = path.Clean(at)
	if refused := judge(r.places.all, at); refused != nil {
		return unless("file://"+at, refused.why)
	}
	return nil
}

// RealPath tells it by where a path has led: its own, without links, as the kernel
// tells it of what is open. It may read links. The error is a *Refusal.
func (r *Rules) RealPath(at string) error {
	if r == nil || r.places == nil {
		return nil
	}
	if !strings.HasPrefix(at, "/") { // "(unreachable)/…", "pipe:[…]"
		return Refuse("it leads out of what this process sees")
	}
	refused := judge(r.places.followed(placesAge).all, at)
	if refused != nil { // a link of a root may lead elsewhere by now
		refused = judge(r.places.followed(0).all, at)
	}
	if refused == nil {
		return nil
	}
	return unless("file:///DIR/ with the directory that it leads to", "it leads elsewhere: "+refused.why)
}

// places are parts of the file system, of which the longest that holds a path decides.
type places struct {
	all  []place
	last atomic.Pointer[followed]
}

// followed are places with the paths that they have without links besides.
type followed struct {
	at  time.Time
	all []place
}

// place is what a directory holds, or one file.
type place struct {
	path string // clean
	ok   bool   // may be read
	why  string // not
	// hidden counts only what lies in a directory with a dot: in path itself, or, if
	// homes is set, in one of the directories in it.
	hidden, homes bool
}

const (
	whySystem  = "a place of the system that holds no data"
	whyHidden  = "in a hidden directory of a home, where keys and settings lie"
	whyPrivate = "it belongs to pinfs itself, or holds credentials"
	whyOutside = "it is not below what --allow names"
)

// newPlaces: the system's own, those of homes, those of o, and the roots that are
// allowed; none is all.
func newPlaces(roots []string, o RulesOptions) *places {
	p := &places{}
	for _, dir := range []string{"/etc", "/proc", "/sys", "/dev", "/run", "/var/run", "/boot", "/var/log", "/var/spool", "/var/mail",
		"/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet"} {
		p.all = append(p.all, place{path: dir, why: whySystem})
	}
	p.all = append(p.all, place{path: "/home", why: whyHidden, hidden: true, homes: true}, place{path: "/root", why: whyHidden, hidden: true})
	if path.IsAbs(o.Home) {
		p.all = append(p.all, place{path: path.Clean(o.Home), why: whyHidden, hidden: true})
	}
	for _, own := range o.Private {
		if own = path.Clean(own); path.IsAbs(own) && own != "/" && own != "/dev/null" {
			p.all = append(p.all, place{path: own, why: whyPrivate})
		}
	}
	if len(roots) == 0 || slices.Contains(roots, "/") {
		roots = append(roots, "/", "/dev/shm", "/run/media") // where data is put too
	}
	for _, dir := range roots {
		p.all = append(p.all, place{path: dir, ok: true})
	}
	return p
}

// judge gives the place that refuses a clean path; nil if it may be read.
func judge(all []place, at string) *place {
	longest, best := -1, &place{why: whyOutside}
	for i := range all {
		n := all[i].holds(at)
		if n > longest || n == longest && n >= 0 && all[i].ok {
			longest, best = n, &all[i]
		}
	}
	if best.ok {
		return nil
	}
	return best
}

// holds gives how much of a path it is that p decides about; -1 is none.
func (p place) holds(at string) int {
	if !within(at, p.path) {
		return -1
	}
	if !p.hidden {
		return len(p.path)
	}
	start := len(strings.TrimSuffix(p.path, "/")) + 1
	if p.homes && start < len(at) {
		_, rest, ok := strings.Cut(at[start:], "/")
		if !ok {
			return -1
		}
		start = len(at) - len(rest)
	}
	if start >= len(at) || at[start] != '.' {
		return -1
	}
	name, _, _ := strings.Cut(at[start:], "/")
	return start + len(name)
}

// followed gives the places and where their links lead, as it was no longer ago than
// age. Links may be read more than once at a time.
func (p *places) followed(age time.Duration) *followed {
	if last := p.last.Load(); last != nil && time.Since(last.at) < age {
		return last
	}
	now := &followed{at: time.Now(), all: slices.Clone(p.all)}
	for _, one := range p.all {
		if real, err := filepath.EvalSymlinks(one.path); err == nil && real != one.path {
			one.path = real
			now.all = append(now.all, one)
		}
	}
	p.last.Store(now)
	return now
}
