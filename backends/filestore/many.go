package filestore

import (
	"cmp"
	"context"
	"crypto/md5"
	"hash"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
)

// DigestMany implements backends.ManyDigester: up to 16 files at once, which SIMD
// hashes about as fast as one. The largest begin, so that none of them is left to
// the end alone. It holds two pieces of 1 MiB for each.
func (s *Store) DigestMany(ctx context.Context, infos []backends.Info) error {
	order := make([]*backends.Info, len(infos))
	for i := range infos {
		order[i] = &infos[i]
	}
	slices.SortStableFunc(order, func(a, b *backends.Info) int { return cmp.Compare(b.Size, a.Size) })
	if len(order) <= fewFiles {
		return s.digestAll(ctx, order, func(int) hash.Hash { return md5.New() })
	}
	e := s.engines.get()
	defer s.engines.put(e)
	return s.digestAll(ctx, order, func(lane int) hash.Hash { return e.hashers[lane] })
}

// digestAll gives each lane a hash and the next file, until there is none. All
// lanes have ended when it returns.
func (s *Store) digestAll(ctx context.Context, infos []*backends.Info, hashOf func(lane int) hash.Hash) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for lane := range min(lanes, len(infos)) {
		g.Go(func() error {
			h := hashOf(lane)
			for i := next.Add(1) - 1; i < int64(len(infos)); i = next.Add(1) - 1 {
				full, err := s.digest(ctx, h, *infos[i])
				if err != nil {
					return err
				}
				*infos[i] = full
			}
			return nil
		})
	}
	return g.Wait()
}
