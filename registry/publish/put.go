package publish

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
)

// Put tracks what the sources hold now as a version, or finds that the latest
// version is equal. On any error, a cancelled ctx included, nothing is recorded
// and nothing is left behind. Kinds: KindNoSource nothing there; KindLimit more
// than MaxObjects; KindInvalid a name, a path or two objects at one path; else
// those of the backend and the registry.
func Put(ctx context.Context, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	sources, err := normalize(o.Sources)
	if err != nil {
		return Result{}, err
	}
	c := o.commit()
	if err := o.Registry.Check(ctx, c); err != nil {
		return Result{}, err
	}
	dir, remove, err := o.tempDir(ctx)
	if err != nil {
		return Result{}, err
	}
	defer remove()
	p := &put{o: o, dir: dir, sources: sources, meter: &meter{report: o.Progress}}
	p.buffers.New = func() any { return new([bufferSize]byte) }
	c.SnapshotPath = filepath.Join(dir, snapshotName)
	if c.Summary, err = p.build(ctx, dir, c.SnapshotPath); err != nil {
		return Result{}, err
	}
	if err := p.storeCopies(ctx); err != nil {
		return Result{}, canceled(ctx, err)
	}
	p.meter.done()
	finish := o.Registry.Commit
	if o.DryRun {
		finish = o.Registry.Preview
	}
	return result(ctx, c, finish)
}

// snapshotName is the file in the temporary folder; spills are beside it.
const snapshotName = "snapshot"

func result(ctx context.Context, c registry.Commit, finish func(context.Context, registry.Commit) (registry.Version, bool, error)) (Result, error) {
	v, isNew, err := finish(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return Result{Version: v, New: isNew, Files: c.Summary.Files, Bytes: c.Summary.Bytes}, nil
}

// tempDir is the registry's, so that the commit copies nothing; a dry run leaves
// the registry alone, which may be read-only.
func (o Options) tempDir(ctx context.Context) (string, func(), error) {
	if !o.DryRun {
		return o.Registry.MakeTemp(ctx)
	}
	dir, err := os.MkdirTemp("", "pinfs-put-")
	if err != nil {
		return "", nil, &manifest.Error{Op: "put", Err: err}
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

func normalize(sources []Source) ([]Source, error) {
	if len(sources) == 0 {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "put", Msg: "nothing to track", Hint: "give a URI or a path"}
	}
	all := make([]Source, len(sources))
	for i, s := range sources {
		uri, err := backends.Normalize(s.URI)
		if err != nil {
			return nil, err
		}
		if s.Name != "" {
			if err := manifest.CheckPath(s.Name); err != nil {
				return nil, err
			}
		}
		all[i] = Source{Name: s.Name, URI: uri}
	}
	return all, nil
}

// put is one Put under way.
type put struct {
	o       Options
	dir     string // for temporary files
	sources []Source
	meter   *meter
	buffers sync.Pool // of *[bufferSize]byte
}

func (p *put) build(ctx context.Context, dir, path string) (snapshot.Summary, error) {
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{
		TempDir: dir, MemoryBytes: p.o.MemoryBytes,
		Meta: snapshot.Meta{Header: manifest.DefaultHeader(), ExactSizes: true},
	})
	if err != nil {
		return snapshot.Summary{}, err
	}
	defer b.Close() //nolint:errcheck // the folder is removed as a whole
	if err := p.collect(ctx, b); err != nil {
		return snapshot.Summary{}, canceled(ctx, err)
	}
	sum, err := b.Build(ctx, path)
	if err != nil {
		return sum, canceled(ctx, p.explain(ctx, err))
	}
	return sum, nil
}

// canceled makes whatever went wrong because ctx ended an error that says so.
func canceled(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	var typed *manifest.Error
	if errors.As(err, &typed) && typed.Kind == manifest.KindOf(ctx.Err()) {
		return err
	}
	return &manifest.Error{Kind: manifest.KindOf(ctx.Err()), Op: "put", Err: ctx.Err()}
}
