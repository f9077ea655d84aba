package gcsstore

import (
	"context"
	"sync"

	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/manifest"
)

const (
	// maxOlderPages bounds the search for a content: 10,000 generations of one key.
	maxOlderPages = 10
	// maxFound bounds the found generations that are remembered, so that each range
	// of a file is not a search; past it all are forgotten.
	maxFound = 4096
)

// found remembers at which generation a content or an ETag was found.
type found struct {
	mu sync.Mutex
	at map[[2]string]int64 // guarded by mu: (ref, pin) to generation
}

func (f *found) get(p pinned) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[[2]string{p.ref(), p.obj.Pin.String()}]
}

func (f *found) put(p pinned) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil || len(f.at) >= maxFound {
		f.at = map[[2]string]int64{}
	}
	f.at[[2]string{p.ref(), p.obj.Pin.String()}] = p.generation
}

// older looks for the newest generation of p's key that is the pinned one; 0 when
// there is none, or when they may not be listed. An error means that nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (int64, error) {
	var newest int64
	token := ""
	for range maxOlderPages {
		out, err := s.generations(ctx, p.place, token)
		if err != nil {
			return 0, searchFailure(ctx, op, p, err)
		}
		for _, o := range out.Items {
			if o.Name == p.key && p.isAt(listedState(o)) {
				newest = max(newest, o.Generation)
			}
		}
		last := len(out.Items) - 1
		if token = out.NextPageToken; token == "" || last >= 0 && out.Items[last].Name > p.key {
			break
		}
	}
	return newest, nil
}

// generations lists a page of those of one key, and of keys that it begins.
func (s *Store) generations(ctx context.Context, p place, token string) (*gcs.Objects, error) {
	call := s.objects.List(p.bucket).Versions(true).Prefix(p.key).EndOffset(p.key + "\x00").
		Projection(projection).Fields(pageFields).PageToken(token)
	if s.payer != "" {
		call.UserProject(s.payer)
	}
	return ask(ctx, s, func(ctx context.Context) (*gcs.Objects, error) { return call.Context(ctx).Do() })
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
