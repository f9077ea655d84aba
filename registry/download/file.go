package download

import (
	"context"
	"io"
	"path"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// file is one file of the version.
type file struct {
	path    string
	obj     manifest.Object
	modTime time.Time
}

func newFile(s *snapshot.Snapshot, index uint32) (file, error) {
	e, err := s.Entry(index)
	if err != nil {
		return file{}, err
	}
	obj, err := s.Object(index)
	return file{e.Path, obj, e.ModTime}, err
}

// bring puts a file into its place, unless it is there. It gives its size.
func (g *getter) bring(ctx context.Context, f file) (size int64, reused bool, err error) {
	if dir := path.Dir(f.path); dir != "." {
		if err := g.root.MkdirAll(dir, dirMode); err != nil {
			return 0, false, folderError(f.path, err)
		}
	}
	if size, ok := g.reuse(ctx, f); ok {
		g.meter.add(0, size)
		return size, true, nil
	}
	tmp, err := openTemp(g.root, f.path)
	if err != nil {
		return 0, false, placeError(f.path, err)
	}
	if size, err = g.fill(ctx, f, tmp); err == nil && !f.modTime.IsZero() {
		err = local(g.root.Chtimes(tmp.name, f.modTime, f.modTime))
	}
	if err == nil {
		if err = tmp.commit(f.path); err == nil {
			return size, false, nil
		}
		err = placeError(f.path, err)
	}
	tmp.discard()
	return 0, false, err
}

// reuse tells whether the file is in its place with the recorded content. Where no
// checksum is known, it is not.
func (g *getter) reuse(ctx context.Context, f file) (int64, bool) {
	there, size := inPlace(g.root, f.path, f.obj.Size)
	if there == nil {
		return 0, false
	}
	defer there.Close()
	c := newChecker(f.obj, nil)
	if !c.able() {
		if err := g.take(ctx); err != nil {
			return 0, false
		}
		info, err := g.o.Backend.Stat(ctx, f.obj)
		g.give()
		if err != nil || (info.Size >= 0 && info.Size != size) {
			return 0, false
		}
		c = newChecker(f.obj, info.Sums)
	}
	buf := g.buffers.Get().(*[bufferSize]byte)
	defer g.buffers.Put(buf)
	if !c.able() {
		return 0, false
	}
	n, err := io.CopyBuffer(c, onlyReader{ctx, there}, buf[:])
	return size, err == nil && n == size && c.check() == nil
}

// onlyReader hides the shortcuts of a file that bypass the buffer, and heeds ctx.
type onlyReader struct {
	ctx context.Context
	r   io.Reader
}

func (r onlyReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// fill fetches the whole content into tmp and checks it.
func (g *getter) fill(ctx context.Context, f file, tmp *tempFile) (int64, error) {
	if f.obj.Size > 2*g.partSize {
		return f.obj.Size, g.fillByParts(ctx, f, tmp)
	}
	if err := g.take(ctx); err != nil {
		return 0, err
	}
	defer g.give()
	body, info, err := g.o.Backend.Open(ctx, f.obj, 0, -1)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	c := newChecker(f.obj, info.Sums)
	n, err := g.copy(ctx, io.MultiWriter(diskWriter{tmp}, c), body)
	if err != nil {
		return 0, err
	}
	for _, want := range []int64{f.obj.Size, info.Size} {
		if want >= 0 && n != want {
			return 0, wrongSize(f.obj, want, n)
		}
	}
	return n, c.check()
}

// copy copies in pieces of a pooled buffer and counts them as progress.
func (g *getter) copy(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	buf := g.buffers.Get().(*[bufferSize]byte)
	defer g.buffers.Put(buf)
	return io.CopyBuffer(counted{w, g.meter}, onlyReader{ctx, r}, buf[:])
}

// counted counts what is written as progress.
type counted struct {
	w     io.Writer
	meter *meter
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.meter.add(0, int64(n))
	return n, err
}

// take waits for the right to make a request.
func (g *getter) take(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *getter) give() { <-g.slots }
