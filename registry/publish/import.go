package publish

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Import makes a version of a W&B manifest. Sizes that it does not tell stay
// unknown, and of a file and a directory of one name the file is kept, shadowed:
// such manifests exist. KindInvalid, and nothing recorded, when it is none or
// breaks a rule.
func Import(ctx context.Context, o ImportOptions) (Result, error) {
	c := o.commit()
	if err := o.Registry.Check(ctx, c); err != nil {
		return Result{}, err
	}
	dir, remove, err := o.Registry.MakeTemp(ctx)
	if err != nil {
		return Result{}, err
	}
	defer remove()
	im := &importer{o: o, dir: dir, meter: &meter{report: o.Progress}}
	c.SnapshotPath = filepath.Join(dir, snapshotName)
	if c.Summary, err = im.build(ctx, c.SnapshotPath); err != nil {
		return Result{}, canceled(ctx, err)
	}
	im.meter.done()
	return result(ctx, c, o.Registry.Commit)
}

// importer is one Import under way. The header of a manifest may come after its
// contents, and the builder wants it before, so the JSON is kept in a file and
// decoded twice: first for the header, which also checks everything, then for the
// entries.
type importer struct {
	o     ImportOptions
	dir   string
	meter *meter
}

func (im *importer) build(ctx context.Context, path string) (snapshot.Summary, error) {
	f, err := os.Create(filepath.Join(im.dir, "manifest.json"))
	if err != nil {
		return snapshot.Summary{}, &manifest.Error{Op: "import", Err: err}
	}
	defer f.Close()
	header, err := manifest.Decode(io.TeeReader(bufio.NewReader(im.o.Reader), f), func(manifest.Entry) error { return ctx.Err() })
	if err != nil {
		return snapshot.Summary{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return snapshot.Summary{}, &manifest.Error{Op: "import", Err: err}
	}
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{
		TempDir: im.dir, MemoryBytes: im.o.MemoryBytes, AllowShadowed: true, Meta: snapshot.Meta{Header: header},
	})
	if err != nil {
		return snapshot.Summary{}, err
	}
	defer b.Close() //nolint:errcheck // the folder is removed as a whole
	if err := im.add(ctx, b, f); err != nil {
		return snapshot.Summary{}, err
	}
	return b.Build(ctx, path)
}

func (im *importer) add(ctx context.Context, b *snapshot.Builder, r io.Reader) error {
	_, err := manifest.Decode(bufio.NewReader(r), func(e manifest.Entry) error {
		im.meter.add(Progress{Objects: 1, Bytes: max(e.Size, 0)})
		if err := ctx.Err(); err != nil {
			return err
		}
		return b.Add(e)
	})
	return err
}
