package fusefs

import (
	"context"

	"github.com/pinfs/pinfs/manifest"
)

// Content gives the bytes of objects. All methods may be called from many
// goroutines at once. Errors are *manifest.Error; Errno turns them into errnos.
type Content interface {
	// ReadAt fills p with the bytes of obj from off, as io.ReaderAt does: fewer
	// than len(p) only together with an error, io.EOF at the end of the object.
	// When ctx ends the caller is gone; work that others wait for goes on.
	ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error)

	// Size gives the size in bytes of an object whose manifest does not tell it
	// (obj.Size is manifest.SizeUnknown). It is asked for every lookup of such a
	// file, so what was learned must be kept; it must not change.
	Size(ctx context.Context, obj manifest.Object) (int64, error)

	// Inspect says what this host has of obj without asking anybody: cached
	// bytes, whether the whole was verified, and the last error, nil if none.
	Inspect(obj manifest.Object) (cached int64, verified bool, lastErr error)
}

// Viewer is Content that can answer a read without a copy of what it has in memory.
type Viewer interface {
	// View is ReadAt, but for where the bytes are: those of head, which are p's, and
	// behind them those of tail, which are lent until done is called. done is never
	// nil and is to be called once.
	View(ctx context.Context, obj manifest.Object, p []byte, off int64) (head, tail []byte, done func(), err error)
}
