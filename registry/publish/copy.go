package publish

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

// Names of temporary files: copies under way, and copies under their SHA-256.
const (
	partPrefix = "part-"
	copyPrefix = "copy-"
)

// copy reads f into a temporary file and gives the entry of the copy: that of a
// file which W&B stores (no reference, base64 MD5), with its SHA-256, by which the
// registry keeps it, and where it came from. The registry gets the copies right
// before the commit, so that a put that fails leaves none there.
func (p *put) copy(ctx context.Context, f found) (manifest.Entry, error) {
	to, keep, discard, err := p.openCopy()
	if err != nil {
		return manifest.Entry{}, err
	}
	defer discard()
	c, err := p.readTo(ctx, to, f, f.info.Sums, manifest.SumMD5, manifest.SumSHA256)
	if err != nil {
		return manifest.Entry{}, err
	}
	if err := keep(hex.EncodeToString(c.sums[manifest.SumSHA256])); err != nil {
		return manifest.Entry{}, err
	}
	e := manifest.Entry{
		Path: f.path, Digest: base64.StdEncoding.EncodeToString(c.sums[manifest.SumMD5]), Size: c.size, ModTime: f.info.ModTime,
		Chunks: c.chunks, Extra: map[string]any{manifest.ExtraSource: f.info.Ref},
	}
	return withSums(e, []manifest.Sum{{Alg: manifest.SumSHA256, Value: c.sums[manifest.SumSHA256]}}), nil
}

// openCopy gives where a copy is written to, what gives it its name, and what
// removes it if that was not done. A dry run keeps nothing.
func (p *put) openCopy() (to io.Writer, keep func(sha256 string) error, discard func(), err error) {
	if p.o.DryRun {
		return io.Discard, func(string) error { return nil }, func() {}, nil
	}
	tmp, err := os.CreateTemp(p.dir, partPrefix)
	if err != nil {
		return nil, nil, nil, copyError(err)
	}
	keep = func(sha256 string) error {
		if err := tmp.Close(); err != nil {
			return copyError(err)
		}
		return copyError(os.Rename(tmp.Name(), filepath.Join(p.dir, copyPrefix+sha256)))
	}
	discard = func() {
		_ = tmp.Close()
		_ = os.Remove(tmp.Name()) // the folder goes too
	}
	return diskWriter{tmp}, keep, discard, nil
}

// diskWriter makes typed errors of a full disk and the like.
type diskWriter struct{ w io.Writer }

func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	return n, copyError(err)
}

func copyError(err error) error {
	if err == nil {
		return nil
	}
	return &manifest.Error{Op: "put", Msg: "the copy can't be written", Err: err, Hint: "see to the registry's disk"}
}

// storeCopies gives the copies to the registry.
func (p *put) storeCopies(ctx context.Context) error {
	if !p.o.Copy || p.o.DryRun {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if sha256, ok := strings.CutPrefix(d.Name(), copyPrefix); ok && err == nil {
			g.Go(func() error { return p.o.Registry.PutBlob(ctx, sha256, path) })
		}
		return err
	})
	if failed := g.Wait(); failed != nil {
		return failed
	}
	return err
}
