package expand

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/publish"
)

// DefaultTimeout is how long the listings of one version may take together: less
// than a mount waits for a version to open.
const DefaultTimeout = 25 * time.Second

// Options say how references are expanded. Backend and Dir are needed.
type Options struct {
	// Backend lists the references and digests files.
	Backend backends.Backend
	// Dir is an existing local folder for snapshots.
	Dir string
	// MaxObjects bounds what one reference may list; 0 is publish.DefaultMaxObjects,
	// negative is no bound.
	MaxObjects int64
	// Timeout is for all listings of one version; 0 is DefaultTimeout, negative none.
	Timeout time.Duration
	// Files makes Open pin files too which Pin would pin later.
	Files bool
	// Below is the path of a file or directory that alone is wanted; "" is all.
	Below string
	// OnFound and OnPinned hear of what is found, before anybody sees it, for who
	// gives it to another Expander: see Adopt. An error of theirs fails the finding.
	// nil: nobody does.
	OnFound  func(Found) error
	OnPinned func(Pinned) error
}

// Found is what Open made of a version.
type Found struct {
	Key        string // as given to Open
	Path       string // of the snapshot
	References []Reference
}

// Pinned is what Pin found of a reference.
type Pinned struct {
	Ref    string
	Object manifest.Object
}

// Adopt goes on with what another Expander found; before the first Open and Pin. The
// files of found are this one's from then on.
func (x *Expander) Adopt(found []Found, pinned []Pinned) {
	for _, f := range found {
		x.done(&version{turn: make(chan struct{}, 1)}, f)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range pinned {
		x.pinned[p.Ref] = p.Object
	}
}

// Expander keeps what the references of any number of versions were found to
// mean. All methods may be called from many goroutines.
type Expander struct {
	o     Options
	base  context.Context // of what goes on behind its callers
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu       sync.Mutex // guards all below
	closed   bool
	versions map[string]*version
	failures map[string]error           // by reference
	pinned   map[string]manifest.Object // files, by reference
	pinning  map[string]*pinning
}

// version is what was made of one version. Who has the turn may change it.
type version struct {
	turn chan struct{}
	path string // of the snapshot; "" until it is built
	refs []Reference
}

// Reference is an unpinned reference that was looked at.
type Reference struct {
	Path string // in the version
	Ref  string
	Time time.Time
	Dir  bool // it is a directory of objects, not one
	// Objects are those found; LeftOut those among the listed that can't be shown.
	Objects, LeftOut int64
	// Err says why it could not be expanded; nil if it was.
	Err error
}

// New makes an Expander; Close frees it.
func New(o Options) *Expander {
	o.MaxObjects = cmp.Or(o.MaxObjects, publish.DefaultMaxObjects)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	x := &Expander{o: o, versions: map[string]*version{}, failures: map[string]error{},
		pinned: map[string]manifest.Object{}, pinning: map[string]*pinning{}}
	x.base, x.end = context.WithCancel(context.Background())
	return x
}

// Needed tells whether s may have references that Open would expand.
func (x *Expander) Needed(s *snapshot.Snapshot) bool { return x.o.Files || s.Summary().Unpinned > 0 }

// needed looks: most versions have none, and need no second snapshot.
func (x *Expander) needed(ctx context.Context, s *snapshot.Snapshot) (bool, error) {
	if !x.Needed(s) {
		return false, nil
	}
	for e, err := range s.Entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if x.expands(e) {
			return true, nil
		}
	}
	return false, nil
}

// Open gives the version s, which key tells from all others, with its unpinned
// references expanded: as they were found by the first call. It is s itself when
// there are none; else a snapshot that the caller closes as well as s. Errors are
// those of sources that may answer later, and of ctx.
func (x *Expander) Open(ctx context.Context, s *snapshot.Snapshot, key string) (*snapshot.Snapshot, error) {
	if needed, err := x.needed(ctx, s); err != nil || !needed {
		return s, err
	}
	v, err := x.version(key)
	if err != nil {
		return nil, err
	}
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, backends.Ended(ctx, "expand", key)
	}
	if v.path == "" {
		if err := x.build(ctx, s, key, v); err != nil {
			return nil, err
		}
	}
	return snapshot.Open(v.path)
}

func ended(op, ref string) error {
	return &manifest.Error{Kind: manifest.KindCanceled, Op: op, Ref: ref, Msg: "the mount has ended"}
}

func (x *Expander) version(key string) (*version, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ended("expand", key)
	}
	v := x.versions[key]
	if v == nil {
		v = &version{turn: make(chan struct{}, 1)}
		x.versions[key] = v
	}
	return v, nil
}

// Failure gives the error with which obj, a reference without a pin, could not be
// expanded; nil if it was not looked at, or all went well.
func (x *Expander) Failure(obj manifest.Object) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failures[obj.Ref]
}

// References gives what was looked at of the version key, by path.
func (x *Expander) References(key string) []Reference {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.versions[key]
	if v == nil {
		return nil
	}
	return slices.Clone(v.refs)
}

// All gives what was looked at of all versions, by reference.
func (x *Expander) All() []Reference {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []Reference
	for _, key := range slices.Sorted(maps.Keys(x.versions)) {
		all = append(all, x.versions[key].refs...)
	}
	slices.SortStableFunc(all, func(a, b Reference) int { return strings.Compare(a.Ref, b.Ref) })
	return all
}

// done notes what came of v, a version.
func (x *Expander) done(v *version, f Found) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.versions[f.Key] = v
	v.path, v.refs = f.Path, f.References
	for _, r := range f.References {
		if r.Err != nil {
			x.failures[r.Ref] = r.Err
		}
	}
}

// Close ends what is under way and removes the files; snapshots that are open may
// still be used. No call of Open may be under way; later ones fail.
func (x *Expander) Close() error {
	x.stop()
	x.end()
	x.tasks.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for _, v := range x.versions {
		if v.path != "" {
			errs = append(errs, os.Remove(v.path))
		}
	}
	clear(x.versions)
	return errors.Join(errs...)
}

// stop lets no task begin any more.
func (x *Expander) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}
