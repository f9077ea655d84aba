package gcsstore

import (
	"context"

	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/backends"
)

// pageSize is the most that a page can have.
const pageSize = 1000

// page fetches a page. The first is asked for once, as the wrapper repeats it:
// nothing has been given yet. The others have a budget of their own.
func (l *listing) page(ctx context.Context, a backends.Ask) (p backends.Page[*gcs.Object], err error) {
	if !l.begun.Load() {
		p, err = l.once(ctx, a)
		l.begun.Store(err == nil)
		return p, err
	}
	err = backends.Retry(ctx, l.store.retry, "list", l.uri, func(ctx context.Context) (err error) {
		p, err = l.once(ctx, a)
		return err
	})
	return p, err
}

// once sends one request for a page.
func (l *listing) once(ctx context.Context, a backends.Ask) (backends.Page[*gcs.Object], error) {
	call := l.store.objects.List(l.at.bucket).Prefix(a.Prefix).PageToken(a.Token).MaxResults(pageSize).
		Projection(projection).Fields(pageFields)
	if a.Level {
		call.Delimiter("/")
	}
	if l.store.payer != "" {
		call.UserProject(l.store.payer)
	}
	out, err := ask(ctx, l.store, func(ctx context.Context) (*gcs.Objects, error) { return call.Context(ctx).Do() })
	if err != nil {
		return backends.Page[*gcs.Object]{}, l.failure(ctx, err)
	}
	return backends.Page[*gcs.Object]{Objects: out.Items, Folders: out.Prefixes, Next: out.NextPageToken}, nil
}
