package publish

import (
	"context"
	"io"
	"iter"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Export writes s as a W&B manifest, version 1, shadowed files too. Errors of w
// come as manifest.Encode wraps them; KindCorrupt for a damaged snapshot.
func Export(ctx context.Context, s *snapshot.Snapshot, w io.Writer) error {
	return manifest.Encode(w, s.Meta().Header, until(ctx, s.Entries()))
}

// until ends a sequence with ctx's error when ctx ends.
func until(ctx context.Context, entries iter.Seq2[manifest.Entry, error]) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for e, err := range entries {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
