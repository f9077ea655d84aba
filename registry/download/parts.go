package download

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// part is a range of a large file on its way.
type part struct {
	offset, length int64
	done           chan struct{} // closed when fetched; then info holds
	info           backends.Info
}

// fillByParts fetches ranges at once into a file of the full size. The hash follows
// in order behind them; it reads what was just written, from the page cache.
func (g *getter) fillByParts(ctx context.Context, f file, tmp *tempFile) error {
	if err := tmp.reserve(f.obj.Size); err != nil {
		return local(err)
	}
	fetched := make(chan *part, partWindow)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.hashParts(ctx, f.obj, tmp, fetched) })
	group.Go(func() error {
		defer close(fetched)
		return g.fetchParts(ctx, f.obj, tmp, fetched)
	})
	return group.Wait()
}

// fetchParts starts parts in order and gives them to the hash before they are
// fetched; that queue is the window.
func (g *getter) fetchParts(ctx context.Context, obj manifest.Object, tmp *tempFile, fetched chan<- *part) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partWindow)
	for offset := int64(0); offset < obj.Size && ctx.Err() == nil; offset += g.partSize {
		p := &part{offset: offset, length: min(g.partSize, obj.Size-offset), done: make(chan struct{})}
		select {
		case fetched <- p:
		case <-ctx.Done():
		}
		group.Go(func() error { return g.fetchPart(ctx, obj, tmp, p) })
	}
	return group.Wait()
}

func (g *getter) fetchPart(ctx context.Context, obj manifest.Object, tmp *tempFile, p *part) error {
	if err := g.take(ctx); err != nil {
		return err
	}
	defer g.give()
	body, info, err := g.o.Backend.Open(ctx, obj, p.offset, p.length)
	if err != nil {
		return err
	}
	defer body.Close()
	if info.Size >= 0 && info.Size != obj.Size {
		return wrongSize(obj, obj.Size, info.Size)
	}
	n, err := g.copy(ctx, diskWriter{io.NewOffsetWriter(tmp, p.offset)}, io.LimitReader(body, p.length+1))
	if err != nil {
		return err
	}
	if n != p.length {
		return wrongSize(obj, p.length, n)
	}
	p.info = info
	close(p.done)
	return nil
}

// hashParts checks the whole by the sums of the manifest and of the first response.
func (g *getter) hashParts(ctx context.Context, obj manifest.Object, tmp *tempFile, fetched <-chan *part) error {
	buf := g.buffers.Get().(*[bufferSize]byte)
	defer g.buffers.Put(buf)
	var c *checker
	for p := range fetched {
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if c == nil {
			c = newChecker(obj, p.info.Sums)
		}
		if !c.able() {
			continue
		}
		if _, err := io.CopyBuffer(c, onlyReader{ctx, io.NewSectionReader(tmp, p.offset, p.length)}, buf[:]); err != nil {
			return local(err)
		}
	}
	if c == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return c.check()
}
