package s3store

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// heads is how many HEADs of one listing are under way at most.
const heads = 32

// probe finds out whether the bucket gives version ids, by the first object that
// is listed. Pages come one at a time until there was one.
func (l *listing) probe(ctx context.Context, objects []object) error {
	if l.probed || len(objects) == 0 {
		return nil
	}
	st, err := l.look(ctx, objects[0].key)
	switch manifest.KindOf(err) {
	case manifest.KindNoSource, manifest.KindDenied:
		l.probed = true
		return nil
	}
	l.probed, l.versioned = err == nil, st.version != ""
	return err
}

// inspect asks for what the listing did not tell: the version of each object if
// versions is true, else the content type of the empty ones only.
func (l *listing) inspect(ctx context.Context, objects []object, versions bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(heads)
	for i := range objects {
		o := &objects[i]
		empty := o.state.size == 0 && !strings.HasSuffix(o.key, "/")
		if versions || empty {
			g.Go(func() error { return l.complete(ctx, o, versions) })
		}
	}
	return g.Wait()
}

// complete adds to o what a HEAD tells. An object that may not be asked for is
// recorded as it was listed.
func (l *listing) complete(ctx context.Context, o *object, versions bool) error {
	st, err := l.look(ctx, o.key)
	switch kind := manifest.KindOf(err); {
	case kind == manifest.KindDenied:
		return nil
	case kind == manifest.KindNoSource: // deleted meanwhile; a listed version still is one
		o.gone = versions
		return nil
	case err != nil:
		return err
	case versions: // the HEAD's ETag and version belong together
		o.state = st
	case st.size == 0:
		o.state.folder = st.folder
	}
	return nil
}

// look asks for one listed object.
func (l *listing) look(ctx context.Context, key string) (st state, err error) {
	if l.heads.Acquire(ctx, 1) != nil {
		return state{}, backends.Ended(ctx, "list", l.uri)
	}
	defer l.heads.Release(1)
	err = l.calls.Again(ctx, func(ctx context.Context) (err error) {
		st, err = l.store.head(ctx, place{bucket: l.at.bucket, key: key}, false)
		return err
	})
	return st, err
}
