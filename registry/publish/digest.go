package publish

import (
	"context"

	"github.com/pinfs/pinfs/backends"
)

// Bounds of what one worker digests at once. Files that are hashed together are
// hashed faster; more bytes would make progress coarse and the last worker late.
const (
	batchObjects = 128
	batchBytes   = 4 << 30
)

// digestAll is one worker: it takes what is listed in batches.
func (p *put) digestAll(ctx context.Context, s stages) error {
	var batch []found
	var infos []backends.Info
	for {
		if batch = p.batch(batch[:0], s.undigested); len(batch) == 0 {
			return nil
		}
		infos = infos[:0]
		for _, f := range batch {
			infos = append(infos, f.info)
		}
		if err := backends.DigestMany(ctx, p.o.Backend, infos); err != nil {
			return err
		}
		for i, f := range batch {
			p.meter.add(Progress{Hashed: max(infos[i].Size, 0)})
			if err := p.pass(ctx, s, found{f.path, infos[i]}); err != nil {
				return err
			}
		}
	}
}

// batch waits for an object and adds those that wait behind it: a fair share, so
// that the other workers have something to do too. It is empty at the end.
func (p *put) batch(batch []found, from <-chan found) []found {
	f, ok := <-from
	if !ok {
		return batch
	}
	batch = append(batch, f)
	share := min(batchObjects, 1+len(from)/p.o.workers())
	for bytes := f.info.Size; len(batch) < share && bytes < batchBytes; bytes += f.info.Size {
		select {
		case f, ok = <-from:
			if !ok {
				return batch
			}
			batch = append(batch, f)
		default:
			return batch
		}
	}
	return batch
}
