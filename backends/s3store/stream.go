package s3store

import (
	"context"
	"errors"
	"io"

	"github.com/pinfs/pinfs/backends"
)

// stream is a body that must hold exactly left more bytes. One goroutine.
type stream struct {
	ctx     context.Context //nolint:containedctx // a stream lives in its call's context
	body    io.ReadCloser
	left    int64
	op, ref string
}

// Read gives io.EOF only after the last byte that was promised.
func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > s.left {
		b = b[:s.left]
	}
	n, err := s.body.Read(b)
	s.left -= int64(n)
	switch {
	case s.left == 0:
		return n, io.EOF
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, failure(s.ctx, s.op, s.ref, &broken{err, s.left})
}

// Close frees the connection, which is used again if the body was read to its end.
func (s *stream) Close() error {
	if err := s.body.Close(); err != nil && s.left == 0 {
		return backends.Unreachable(s.op, s.ref, brief(err))
	}
	return nil
}
