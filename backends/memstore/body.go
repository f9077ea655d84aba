package memstore

import (
	"context"
	"io"
	"time"
)

// BodyFault changes the bytes of one response: for Fault.Body.
type BodyFault = func(ctx context.Context, r io.Reader) io.Reader

// Cut ends the body after n bytes: with err, or without a word (io.EOF) when err
// is nil.
func Cut(n int64, err error) BodyFault {
	return func(_ context.Context, r io.Reader) io.Reader {
		if err == nil {
			return io.LimitReader(r, n)
		}
		return io.MultiReader(io.LimitReader(r, n), failing{err})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Stall sends n bytes of the body and then nothing until its context ends.
func Stall(n int64) BodyFault {
	return func(ctx context.Context, r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, n), hanging{ctx})
	}
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// Flip changes the lowest bit of byte at of the body.
func Flip(at int64) BodyFault {
	return func(_ context.Context, r io.Reader) io.Reader {
		return &flipper{r: r, left: at}
	}
}

type flipper struct {
	r    io.Reader
	left int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if 0 <= f.left && f.left < int64(n) {
		p[f.left] ^= 1
	}
	f.left -= int64(n)
	return n, err
}

// Trickle sends n bytes of the body every pause.
func Trickle(n int, every time.Duration) BodyFault {
	return func(ctx context.Context, r io.Reader) io.Reader {
		return &trickle{ctx: ctx, r: r, n: n, every: every}
	}
}

type trickle struct {
	ctx   context.Context
	r     io.Reader
	n     int
	every time.Duration
}

func (t *trickle) Read(p []byte) (int, error) {
	if err := pause(t.ctx, t.every); err != nil {
		return 0, err
	}
	return t.r.Read(p[:min(len(p), t.n)])
}

// Longer adds n bytes after the end of the body.
func Longer(n int) BodyFault {
	return func(_ context.Context, r io.Reader) io.Reader {
		return io.MultiReader(r, &filler{left: n})
	}
}

type filler struct{ left int }

func (f *filler) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), f.left)
	f.left -= n
	clear(p[:n])
	return n, nil
}
