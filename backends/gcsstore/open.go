package gcsstore

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// opened is a stream and what its answer said.
type opened struct {
	body  io.ReadCloser
	state state
}

// Open streams a range of obj at its pin. Generation, size and checksums are
// compared before it returns; the caller has to check the bytes.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	p, err := parsePin("open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	if offset < 0 {
		return nil, backends.Info{}, backends.Invalid("open", obj.Ref, "the offset is negative", "")
	}
	r := backends.Span{Offset: offset, Length: length}
	o, err := atPin(ctx, s, "open", p, func(ctx context.Context, op string, p pinned) (opened, error) {
		if length == 0 || obj.Size >= 0 && offset >= obj.Size {
			return s.nothing(ctx, op, p)
		}
		return s.open(ctx, op, p, r)
	})
	if err != nil {
		return nil, backends.Info{}, err
	}
	return o.body, o.state.info(p.place), nil
}

// nothing is an empty stream of an object that is there.
func (s *Store) nothing(ctx context.Context, op string, p pinned) (opened, error) {
	st, err := s.stat(ctx, op, p)
	return opened{io.NopCloser(bytes.NewReader(nil)), st}, err
}

// open asks once, at p's generation, for a range that is not empty.
func (s *Store) open(ctx context.Context, op string, p pinned, r backends.Span) (opened, error) {
	call := s.objects.Get(p.bucket, p.key).Generation(p.generation).Context(ctx)
	if s.payer != "" {
		call.UserProject(s.payer)
	}
	if r.Offset > 0 || r.Length >= 0 {
		call.Header().Set("Range", r.Header())
	}
	resp, err := send(ctx, s, func() (*http.Response, error) { return call.Download() })
	if refusal, refused := replyOf(err); refused && refusal.status == http.StatusRequestedRangeNotSatisfiable {
		o, err := s.nothing(ctx, op, p) // past the end, if the server is right
		if err == nil && r.Of(o.state.size) > 0 {
			return opened{}, backends.Unreachable(op, p.obj.Ref, refusal)
		}
		return o, err
	}
	if err != nil {
		return opened{}, s.readFailure(ctx, op, p, err)
	}
	o, err := s.accept(ctx, op, p, r, resp)
	if err != nil {
		_ = resp.Body.Close() // nothing was read
		return opened{}, err
	}
	return o, nil
}

// accept checks the answer against the pin and the range asked for.
func (s *Store) accept(ctx context.Context, op string, p pinned, r backends.Span, resp *http.Response) (opened, error) {
	if unpacked(resp.Header) {
		return opened{}, corrupt(op, p, "the server unpacked the content", "gzip, as it is stored", "plain")
	}
	sent := backends.ParseSent(resp.Header.Get("Content-Range"), resp.ContentLength)
	st := readState(resp.Header, sent.Total)
	if err := p.check(op, st); err != nil {
		return opened{}, err
	}
	length, err := r.Check(op, p.obj, sent)
	if err != nil {
		return opened{}, err
	}
	if st.size < 0 {
		st.size = p.obj.Size
	}
	return opened{backends.NewBody(ctx, op, p.obj.Ref, resp.Body, length), st}, nil
}

// unpacked tells whether the content is stored with gzip and came without it:
// sizes, checksums and ranges are all of what is stored.
func unpacked(h http.Header) bool {
	return h.Get("X-Goog-Stored-Content-Encoding") == "gzip" && h.Get("Content-Encoding") != "gzip"
}
