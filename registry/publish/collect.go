package publish

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

const (
	parallelLists = 4   // sources that are listed at once
	queue         = 256 // entries between two stages
)

// found is an object on its way into the version.
type found struct {
	path string
	info backends.Info
}

// stages are the queues between the goroutines of collect.
type stages struct {
	undigested chan found          // of sources that tell no digest
	digested   chan found          // only if Options ask for more than digests
	entries    chan manifest.Entry // complete
}

// collect lists all sources into b.
func (p *put) collect(ctx context.Context, b *snapshot.Builder) error {
	s := stages{make(chan found, queue), make(chan found, queue), make(chan manifest.Entry, queue)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(s.entries)
		return p.produce(ctx, s)
	})
	g.Go(func() error {
		for e := range s.entries {
			if err := b.Add(e); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// produce runs all that write to s.entries, and ends when they have.
func (p *put) produce(ctx context.Context, s stages) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(s.digested)
		return p.find(ctx, s)
	})
	for range p.finishers() {
		g.Go(func() error {
			for f := range s.digested {
				e, err := p.finish(ctx, f)
				if err == nil {
					err = send(ctx, s.entries, e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// find lists and digests.
func (p *put) find(ctx context.Context, s stages) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(s.undigested)
		return p.listAll(ctx, s)
	})
	for range p.o.workers() {
		g.Go(func() error { return p.digestAll(ctx, s) })
	}
	return g.Wait()
}

func (p *put) listAll(ctx context.Context, s stages) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelLists)
	for _, source := range p.sources {
		g.Go(func() error { return p.list(ctx, source, s) })
	}
	return g.Wait()
}

// list gives what a source lists to the next stage.
func (p *put) list(ctx context.Context, source Source, s stages) error {
	if e, ok, err := p.whole(source); ok || err != nil {
		if err != nil {
			return err
		}
		p.meter.add(Progress{Objects: 1})
		return send(ctx, s.entries, e)
	}
	var count int64
	err := p.o.Backend.List(ctx, source.URI, func(info backends.Info) error {
		count++
		if p.o.MaxObjects > 0 && count > p.o.MaxObjects {
			return tooMany(source, p.o.MaxObjects)
		}
		path, err := source.path(info)
		if err != nil {
			return err
		}
		p.meter.add(Progress{Objects: 1, Bytes: max(info.Size, 0)})
		if p.o.NoChecksum {
			info.Digest = manifest.NoMD5(info.Ref)
		}
		return p.pass(ctx, s, found{path, info})
	})
	if err == nil && count == 0 {
		return backends.NoSource("put", source.URI, "there is no object")
	}
	return named(source, err)
}

// pass gives f to the stage that it needs next.
func (p *put) pass(ctx context.Context, s stages, f found) error {
	switch {
	case f.info.Digest == "":
		return send(ctx, s.undigested, f)
	case p.finishers() > 0:
		return send(ctx, s.digested, f)
	}
	return send(ctx, s.entries, f.info.Entry(f.path))
}

func tooMany(source Source, limit int64) error {
	return &manifest.Error{
		Kind: manifest.KindLimit, Op: "put", Ref: source.URI, Msg: fmt.Sprintf("more than %d objects; nothing was recorded", limit),
		Hint: "allow more with --max-objects (0 for any number)",
	}
}

// path gives where an object of the source lies in the version.
func (s Source) path(info backends.Info) (string, error) {
	path := info.Name
	switch {
	case s.Name != "" && info.Single:
		path = s.Name
	case s.Name != "":
		path = s.Name + "/" + info.Name
	}
	if err := manifest.CheckPath(path); err != nil {
		return "", &manifest.Error{
			Kind: manifest.KindInvalid, Op: "put", Ref: info.Ref, Msg: "its name can't be a path in a version", Err: err,
			Hint: "rename it or track it by itself as NAME=URI",
		}
	}
	return path, nil
}

// send waits for room in a queue as long as ctx lives.
func send[T any](ctx context.Context, queue chan<- T, v T) error {
	select {
	case queue <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
