package expand

import (
	"context"
	"io"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Wrap gives b, that says of references which could not be expanded why: their
// driver knows only that they have no pin.
func (x *Expander) Wrap(b backends.Backend) backends.Backend { return &explaining{b, x} }

type explaining struct {
	backends.Backend
	x *Expander
}

var _ backends.Backend = (*explaining)(nil)

func (e *explaining) failure(obj manifest.Object) error {
	if obj.Pin.Kind != manifest.PinNone {
		return nil
	}
	return e.x.Failure(obj)
}

func (e *explaining) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	if err := e.failure(obj); err != nil {
		return backends.Info{}, err
	}
	return e.Backend.Stat(ctx, obj)
}

func (e *explaining) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	if err := e.failure(obj); err != nil {
		return nil, backends.Info{}, err
	}
	return e.Backend.Open(ctx, obj, offset, length)
}
