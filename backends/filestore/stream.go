package filestore

import (
	"context"
	"io"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// stream reads a range of a file by pieces of at most bufferSize.
type stream struct {
	ctx      context.Context
	s        *Store
	f        *file
	pos, end int64 // of what the piece does not hold yet
	piece    *chunk
	rest     []byte // of piece
	closed   bool
}

// Read gives the next bytes, or KindChanged once the file is another one.
func (r *stream) Read(p []byte) (int, error) {
	if err := backends.Ended(r.ctx, "read", r.f.ref); err != nil {
		return 0, err
	}
	switch {
	case r.closed:
		return 0, &manifest.Error{Op: "read", Ref: r.f.ref, Msg: "the stream was closed"}
	case len(r.rest) == 0 && r.pos == r.end:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if len(r.rest) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *stream) fill() error {
	r.drop()
	size := int(min(bufferSize, r.end-r.pos))
	c, err := r.s.readAt(r.ctx, "read", r.f, size, r.pos)
	if err != nil {
		return err
	}
	r.piece = c
	if !c.state.same(r.f.state) {
		return changed("read", r.f.ref, r.f.state, c.state)
	}
	if len(c.data) == 0 {
		return backends.Unreachable("read", r.f.ref, io.ErrUnexpectedEOF)
	}
	r.rest = c.data
	r.pos += int64(len(c.data))
	return nil
}

func (r *stream) drop() {
	if r.piece != nil {
		r.piece.free()
		r.piece, r.rest = nil, nil
	}
}

// Close frees the descriptor and the buffer; a second call does nothing.
func (r *stream) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.drop()
	return r.f.close()
}
