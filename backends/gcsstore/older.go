package gcsstore

import (
	"context"

	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/backends"
)

// maxOlderPages bounds the search for a content: 10,000 generations of one key.
const maxOlderPages = 10

// older looks for the newest generation of p's key that is the pinned one; 0 when
// there is none, or when they may not be listed. An error means that nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (int64, error) {
	var newest int64
	token := ""
	for range maxOlderPages {
		out, err := s.generations(ctx, p.place, token)
		if err != nil {
			return 0, backends.Undecided(failure(ctx, op, p.obj.Ref, err))
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
