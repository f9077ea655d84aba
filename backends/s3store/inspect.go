package s3store

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

// heads is how many HEADs of one listing are under way at most.
const heads = 32

// hasVersions tells whether the bucket gives version ids, by one of its objects.
func (l *listing) hasVersions(ctx context.Context, key string) (bool, error) {
	st, ok, err := l.look(ctx, key)
	return ok && st.version != "", err
}

// inspect asks for what the listing did not tell: the version of each object if
// versions is true, else the content type of the empty ones only.
func (l *listing) inspect(ctx context.Context, objects []object, versions bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(heads)
	for i := range objects {
		o := &objects[i]
		empty := o.state.size == 0 && !strings.HasSuffix(o.key, "/")
		if !versions && !empty {
			continue
		}
		g.Go(func() error {
			st, ok, err := l.look(ctx, o.key)
			switch {
			case !ok || err != nil:
			case versions: // the HEAD's ETag and version belong together
				o.state = st
			case st.size == 0:
				o.state.folder = st.folder
			}
			return err
		})
	}
	return g.Wait()
}

// look asks for one listed object; false when it is gone meanwhile or may not be
// asked for: then it is recorded as it was listed.
func (l *listing) look(ctx context.Context, key string) (state, bool, error) {
	var st state
	err := l.request(ctx, func(ctx context.Context) (err error) {
		st, err = l.store.head(ctx, place{bucket: l.at.bucket, key: key}, false)
		return err
	})
	switch manifest.KindOf(err) {
	case manifest.KindNoSource, manifest.KindDenied:
		return state{}, false, nil
	}
	return st, err == nil, err
}
