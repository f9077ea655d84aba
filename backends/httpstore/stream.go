package httpstore

import (
	"context"
	"errors"
	"io"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// stream is a part of a body. One goroutine.
type stream struct {
	ctx   context.Context //nolint:containedctx // a stream lives in its call's context
	body  io.ReadCloser
	ref   string
	trail *trail
	skip  int64 // bytes of the body before the part
	left  int64 // bytes still to give
	exact bool  // fewer than left is an error
	toEnd bool  // the body must end with the part, and does not say by itself
}

// Read gives io.EOF only after the last byte that was promised.
func (s *stream) Read(b []byte) (int, error) {
	if err := s.forward(); err != nil {
		return 0, err
	}
	if s.left == 0 {
		return 0, s.end()
	}
	if int64(len(b)) > s.left {
		b = b[:s.left]
	}
	n, err := s.body.Read(b)
	s.left -= int64(n)
	switch {
	case s.left == 0 && !s.toEnd:
		return n, io.EOF
	case s.left == 0, err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !s.exact:
		s.left = 0
		return n, io.EOF
	}
	return n, s.failure(err)
}

// forward drops what is before the part.
func (s *stream) forward() error {
	if s.skip == 0 {
		return nil
	}
	n, err := io.CopyN(io.Discard, s.body, s.skip)
	s.skip -= n
	if errors.Is(err, io.EOF) && !s.exact {
		s.skip, s.left = 0, 0
		return nil
	}
	return s.failure(err)
}

// end wants the body to be over.
func (s *stream) end() error {
	if !s.toEnd {
		return io.EOF
	}
	n, err := io.ReadFull(s.body, make([]byte, 1))
	switch {
	case n > 0:
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: "read", Ref: s.ref, Msg: "the answer goes on where the object should end"}
	case errors.Is(err, io.EOF):
		s.toEnd = false
		return io.EOF
	}
	return s.failure(err)
}

func (s *stream) failure(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	left := int64(-1)
	if s.exact {
		left = s.skip + s.left
	}
	return failure(s.ctx, "read", s.ref, &broken{s.trail.strip(err), left})
}

// Close frees the connection, which is used again if the body was read to its end.
func (s *stream) Close() error {
	if err := s.body.Close(); err != nil && s.left == 0 && s.skip == 0 {
		return backends.Unreachable("read", s.ref, brief(s.trail.strip(err)))
	}
	return nil
}
