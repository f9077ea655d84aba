package download

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Get downloads a version or a part of it. The result tells which files failed;
// the error is for what stopped it: KindNotFound for a PathPrefix that is not
// there, a full disk, the end of ctx. Temporary files are removed in any case, and
// the result holds what was done until then.
func Get(ctx context.Context, o GetOptions) (GetResult, error) {
	start, err := find(o.Snapshot, o.PathPrefix)
	if err != nil {
		return GetResult{}, err
	}
	dir, err := filepath.Abs(o.Root)
	if err != nil {
		return GetResult{}, &manifest.Error{Kind: manifest.KindInvalid, Op: "get", Ref: o.Root, Err: err}
	}
	root, err := openRoot(dir)
	if err != nil {
		return GetResult{Root: dir}, err
	}
	defer root.Close()
	n := parallelOf(o.Parallel)
	g := &getter{
		o: o, dir: dir, root: root, slots: make(chan struct{}, n), meter: &meter{report: o.Progress},
		partSize: cmp.Or(o.PartSize, defaultPartSize), buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }},
	}
	g.result.Root = dir
	if o.PathPrefix == "" {
		sum := o.Snapshot.Summary()
		g.meter.total(sum.Files-sum.Shadowed, sum.Bytes)
	}
	err = g.run(ctx, start, n)
	g.meter.done()
	return g.result, err
}

func openRoot(dir string) (*os.Root, error) {
	err := os.MkdirAll(dir, dirMode)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(dir); err == nil {
			return root, nil
		}
	}
	if known, ok := final(dir, local(err)); ok {
		return nil, known
	}
	kind := manifest.KindInvalid
	if os.IsPermission(err) {
		kind = manifest.KindDenied
	}
	return nil, &manifest.Error{Kind: kind, Op: "get", Ref: dir, Err: err, Hint: "choose another --root"}
}

// find gives the node of a path of the version.
func find(s *snapshot.Snapshot, path string) (snapshot.Node, error) {
	path = strings.TrimSuffix(path, "/")
	node, ok, err := s.Find(path)
	if err == nil && !ok {
		err = &manifest.Error{Kind: manifest.KindNotFound, Op: "get", Ref: path, Msg: "no such path in the version"}
	}
	return node, err
}

// getter is a Get under way.
type getter struct {
	o        GetOptions
	dir      string
	root     *os.Root
	partSize int64
	slots    chan struct{} // one token a request
	buffers  sync.Pool     // *[bufferSize]byte
	meter    *meter

	mu     sync.Mutex // guards result
	result GetResult
}

func (g *getter) run(ctx context.Context, start snapshot.Node, workers int) error {
	indexes := make(chan uint32, workers)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(indexes)
		return walk(inner, g.o.Snapshot, start, indexes)
	})
	for range workers {
		group.Go(func() error {
			for i := range indexes {
				if err := g.file(inner, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return &manifest.Error{Kind: manifest.KindOf(ctx.Err()), Op: "get", Ref: g.dir, Err: ctx.Err(), Hint: "get again to go on"}
	}
	return err
}

// walk gives the files at and below start.
func walk(ctx context.Context, s *snapshot.Snapshot, start snapshot.Node, indexes chan<- uint32) error {
	if !start.Dir {
		return send(ctx, indexes, start.Index)
	}
	for node, err := range s.Walk(start.Index) {
		if err == nil && !node.Dir {
			err = send(ctx, indexes, node.Index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, indexes chan<- uint32, i uint32) error {
	select {
	case indexes <- i:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// file gets a file and notes how it went; the error is one that ends everything.
func (g *getter) file(ctx context.Context, index uint32) error {
	f, err := newFile(g.o.Snapshot, index)
	if err != nil {
		return err
	}
	size, reused, err := g.bring(ctx, f)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if known, ok := final(g.dir, err); ok {
		return known
	}
	var typed *manifest.Error
	if err != nil && !errors.As(err, &typed) {
		err = &manifest.Error{Op: "get", Ref: f.path, Err: err}
	}
	g.note(f.path, size, reused, err)
	return nil
}

func (g *getter) note(path string, size int64, reused bool, err error) {
	g.meter.add(1, 0)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.result.FailedCount++
		if len(g.result.Failed) < maxFailures {
			g.result.Failed = append(g.result.Failed, Failure{Path: path, Err: err})
		}
		return
	}
	g.result.Files++
	g.result.Bytes += size
	if reused {
		g.result.Reused++
	}
}
