package registry

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// format is the version of the layout that this package reads and writes.
const format = 1

// Options are the choices of a registry.
type Options struct {
	// Now tells the time for records; nil means time.Now.
	Now func() time.Time
	// By says who moves aliases, for the records; may be empty.
	By string
}

// Registry answers what names mean and makes versions. All methods may be called
// from many goroutines.
type Registry struct {
	store Store
	now   func() time.Time
	by    string

	// formatKnown is set once pinfs-registry.json was seen or written.
	formatKnown atomic.Bool
	// numbering lets one goroutine of this process at a time number versions of
	// an artifact, so that they don't race each other.
	numbering [64]chan struct{}
	seed      maphash.Seed
}

// Open gives the registry in store. One that isn't there yet is empty; the first
// write makes it. KindUnsupported when it was written by a newer pinfs whose
// layout is another.
func Open(ctx context.Context, store Store, o Options) (*Registry, error) {
	r := &Registry{store: store, now: o.Now, by: o.By, seed: maphash.MakeSeed()}
	if r.now == nil {
		r.now = time.Now
	}
	for i := range r.numbering {
		r.numbering[i] = make(chan struct{}, 1)
	}
	if err := r.checkFormat(ctx); err != nil && !isKind(err, manifest.KindNotFound) {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// checkFormat reads the format; KindNotFound when the registry isn't there yet.
func (r *Registry) checkFormat(ctx context.Context) error {
	record, _, err := read[formatRecord](ctx, r.store, formatKey)
	if err != nil {
		return err
	}
	if record.Format < 1 || record.Format > format {
		return &manifest.Error{
			Kind: manifest.KindUnsupported, Op: "read the registry", Ref: formatKey,
			Msg:  fmt.Sprintf("it has format %d, this pinfs knows up to %d", record.Format, format),
			Hint: "use a newer pinfs",
		}
	}
	r.formatKnown.Store(true)
	return nil
}

// ensureFormat comes before every first write.
func (r *Registry) ensureFormat(ctx context.Context) error {
	if r.formatKnown.Load() {
		return nil
	}
	err := create(ctx, r.store, formatKey, formatRecord{Format: format, Created: r.stamp()})
	if err != nil && !isKind(err, manifest.KindConflict) {
		return err
	}
	return r.checkFormat(ctx)
}

// stamp is the time as records hold it: UTC, milliseconds.
func (r *Registry) stamp() time.Time { return r.now().UTC().Truncate(time.Millisecond) }

// MakeTemp makes a private local folder in which a snapshot can be built such that
// Commit needs no copy of it. remove deletes it with what is in it.
func (r *Registry) MakeTemp(ctx context.Context) (dir string, remove func(), err error) {
	return r.store.MakeTemp(ctx)
}

// OpenSnapshot opens the snapshot of v. The caller closes it.
func (r *Registry) OpenSnapshot(ctx context.Context, v Version) (*snapshot.Snapshot, error) {
	path, err := r.store.Fetch(ctx, snapshotKey(v.Snapshot))
	if isKind(err, manifest.KindNotFound) {
		return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: "open snapshot", Ref: v.Name(), Msg: "the registry has lost it", Err: err}
	}
	if err != nil {
		return nil, err
	}
	s, err := snapshot.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open snapshot of %s: %w", v.Name(), err)
	}
	return s, nil
}

// Close closes the store. No call may follow.
func (r *Registry) Close() error { return r.store.Close() }
