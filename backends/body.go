package backends

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/pinfs/pinfs/manifest"
)

// NewBody gives a stream of exactly length bytes of body, the answer to a request
// of ctx: what comes behind them is not read. An end before them, and any other
// error of body that is not typed, is KindUnreachable, or what Ended says of ctx.
// Close frees the connection, which is used again if the body was read to its end.
func NewBody(ctx context.Context, op, ref string, body io.ReadCloser, length int64) io.ReadCloser {
	return &exact{ctx: ctx, op: op, ref: ref, body: body, left: length}
}

// exact is a body that must hold left more bytes. One goroutine.
type exact struct {
	ctx     context.Context //nolint:containedctx // a stream lives in its call's context
	op, ref string
	body    io.ReadCloser
	left    int64
}

// Read gives io.EOF only after the last byte that was promised.
func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > e.left {
		b = b[:e.left]
	}
	n, err := e.body.Read(b)
	e.left -= int64(n)
	switch {
	case e.left == 0:
		return n, io.EOF
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, e.failure(err)
}

func (e *exact) failure(err error) error {
	if ended := Ended(e.ctx, e.op, e.ref); ended != nil {
		return ended
	}
	var typed *manifest.Error
	if errors.As(err, &typed) {
		return err
	}
	return Unreachable(e.op, e.ref, &broken{err, e.left})
}

// Close frees the connection. After an early end it has nothing to say.
func (e *exact) Close() error {
	if err := e.body.Close(); err != nil && e.left == 0 {
		return Unreachable(e.op, e.ref, Brief(err))
	}
	return nil
}

// broken is a body that ended early.
type broken struct {
	err  error
	left int64 // bytes that were to come
}

func (b *broken) Error() string {
	return "the answer broke off " + strconv.FormatInt(b.left, 10) + " bytes before its end: " + Brief(b.err).Error()
}

func (b *broken) Unwrap() error { return b.err }
