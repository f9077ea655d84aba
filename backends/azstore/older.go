package azstore

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends"
)

// maxOlderPages bounds the search for an ETag: 10,000 versions of one blob.
const maxOlderPages = 2

// older looks for a version or a snapshot of p's blob that has p's ETag; p.place
// itself when there is none, or when they may not be listed. An error means that
// nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (place, error) {
	for _, include := range []container.ListBlobsInclude{{Versions: true}, {Snapshots: true}} {
		at, ok, err := s.search(ctx, p, include)
		if err != nil {
			err = backends.Undecided(failure(ctx, op, p.obj.Ref, err))
		}
		if ok || err != nil {
			return at, err
		}
	}
	return p.place, nil
}

func (s *Store) search(ctx context.Context, p pinned, include container.ListBlobsInclude) (place, bool, error) {
	a := backends.Ask{Prefix: p.blob}
	for range maxOlderPages {
		out, err := s.lines(ctx, p.place, a, include)
		if err != nil {
			return p.place, false, err
		}
		for _, b := range out.blobs {
			at := p.place
			at.version, at.snapshot = value(b.VersionID), value(b.Snapshot)
			if value(b.Name) == p.blob && at != p.place && stateOf(b).etag == p.etag {
				return at, true, nil
			}
			if value(b.Name) > p.blob {
				return p.place, false, nil
			}
		}
		if out.next == "" {
			break
		}
		a.Token = out.next
	}
	return p.place, false, nil
}
