package azstore

import (
	"context"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	// maxOlderPages bounds the search for an ETag: 10,000 versions of one blob.
	maxOlderPages = 2
	// maxFound bounds the found versions that are remembered, so that each range
	// of a file is not a search; past it all are forgotten.
	maxFound = 4096
)

// found remembers where an ETag was found that is not the current one.
type found struct {
	mu sync.Mutex
	at map[[2]string]place // guarded by mu: (ref, etag) to the place with its version or snapshot
}

// get gives the place where p is, as far as known.
func (f *found) get(p pinned) place {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.at[[2]string{p.ref(), p.etag}]; ok {
		return at
	}
	return p.place
}

func (f *found) put(p pinned, at place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil || len(f.at) >= maxFound {
		f.at = map[[2]string]place{}
	}
	f.at[[2]string{p.ref(), p.etag}] = at
}

// older looks for a version or a snapshot of p's blob that has p's ETag; p.place
// itself when there is none, or when they may not be listed. An error means that
// nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (place, error) {
	for _, include := range []container.ListBlobsInclude{{Versions: true}, {Snapshots: true}} {
		at, ok, err := s.search(ctx, p, include)
		if err != nil {
			err = searchFailure(ctx, op, p, err)
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

// searchFailure is nil for a refusal that will not change: then the search has
// simply found nothing.
func searchFailure(ctx context.Context, op string, p pinned, err error) error {
	err = failure(ctx, op, p.obj.Ref, err)
	switch manifest.KindOf(err) {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindCanceled:
		return err
	}
	return nil
}
