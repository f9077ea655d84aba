package expand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// pinning is a file that is being read for its digest; obj and err are set before
// done is closed.
type pinning struct {
	done chan struct{}
	obj  manifest.Object
	err  error
}

// Pinnable tells whether Pin has something to do for obj: a file without a pin.
func Pinnable(obj manifest.Object) bool {
	return obj.Pin.Kind == manifest.PinNone && manifest.SourceOf(obj.Ref) == manifest.SourceFile && obj.Digest != obj.Ref
}

// Pin gives obj, a file for which Pinnable is true, with the pin that it had when
// Pin was first asked for it. Errors are not kept, so that the next call tries
// again. KindChanged: the file has not the size that was recorded.
func (x *Expander) Pin(ctx context.Context, obj manifest.Object) (manifest.Object, error) {
	p := x.enter(obj)
	select {
	case <-p.done:
	case <-ctx.Done():
		return manifest.Object{}, backends.Ended(ctx, "pin", obj.Ref)
	}
	if p.err != nil {
		return manifest.Object{}, p.err
	}
	return p.obj, sameSize(obj, p.obj)
}

// Pinned gives what Pin gave for obj before; false if it did not.
func (x *Expander) Pinned(obj manifest.Object) (manifest.Object, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	pinned, ok := x.pinned[obj.Ref]
	return pinned, ok
}

// enter gives the pinning of obj, which it begins if nobody has.
func (x *Expander) enter(obj manifest.Object) *pinning {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.pinning[obj.Ref]; p != nil {
		return p
	}
	p := &pinning{done: make(chan struct{})}
	pinned, known := x.pinned[obj.Ref]
	switch {
	case known:
		p.obj = pinned
		close(p.done)
	case x.closed:
		p.err = ended("pin", obj.Ref)
		close(p.done)
	default:
		x.pinning[obj.Ref] = p
		x.tasks.Go(func() { x.pin(obj, p) }) // others may wait for it; the driver bounds each read
	}
	return p
}

func (x *Expander) pin(obj manifest.Object, p *pinning) {
	infos := []backends.Info{{Ref: obj.Ref, Size: obj.Size}}
	p.err = backends.DigestMany(x.base, x.o.Backend, infos)
	if p.err == nil {
		p.obj = infos[0].Entry("pinned").Object()
		if x.o.OnPinned != nil {
			p.err = x.o.OnPinned(Pinned{obj.Ref, p.obj})
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.pinning, obj.Ref)
	if p.err == nil {
		x.pinned[obj.Ref] = p.obj
	}
	close(p.done)
}

func sameSize(recorded, found manifest.Object) error {
	if recorded.Size < 0 || recorded.Size == found.Size {
		return nil
	}
	return &manifest.Error{Kind: manifest.KindChanged, Op: "pin", Ref: recorded.Ref, Msg: "the file changed since it was recorded",
		Expected: fmt.Sprintf("%d bytes", recorded.Size), Found: fmt.Sprintf("%d bytes", found.Size)}
}

// MakeDir makes the folder for snapshots at path. What is in it was left by a process
// that died, but for the files that keep has.
func MakeDir(path string, keep ...string) error {
	err := os.MkdirAll(path, 0o700)
	if err == nil {
		err = removeOthers(path, keep)
	}
	if err != nil {
		return &manifest.Error{Op: "make folder", Ref: path, Err: err, Hint: "see to the permissions of its parent"}
	}
	return nil
}

func removeOthers(dir string, keep []string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		if path := filepath.Join(dir, f.Name()); !slices.Contains(keep, path) {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}
