package azstore

import (
	"context"
	"net/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Stat asks for obj at its pin. A blob that is no longer at the ETag which pins
// it is looked for among its older versions and snapshots. KindCorrupt when the
// pin is there but its size is not the recorded one.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	p, err := parsePin("stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	st, err := atPin(ctx, s, "stat", p, s.stat)
	if err != nil {
		return backends.Info{}, err
	}
	return infoOf(st, p), nil
}

// infoOf is what is recorded of the blob that p means: its Ref is the one that
// was asked for, wherever its bytes were found.
func infoOf(st state, p pinned) backends.Info {
	info := st.info(p.place)
	info.Ref = p.obj.Ref
	return info
}

// stat asks once, at exactly p.
func (s *Store) stat(ctx context.Context, op string, p pinned) (state, error) {
	st, err := s.head(ctx, p.place)
	if err != nil {
		return state{}, readFailure(ctx, op, p, err)
	}
	return st, p.check(op, st)
}

// atPin calls try with p, and again with an older version of the blob if p is
// pinned by an ETag that is not the current one's.
func atPin[T any](ctx context.Context, s *Store, op string, p pinned, try func(context.Context, string, pinned) (T, error)) (T, error) {
	if p.byID {
		return try(ctx, op, p)
	}
	known, ok := s.found.Get(p.ref(), p.etag)
	if !ok {
		known = p.place
	}
	return backends.Elsewhere(known, func(at place) (T, error) {
		there := p
		there.place = at
		return try(ctx, op, there)
	}, func() (place, error) {
		older, err := s.older(ctx, op, p)
		if older == p.place || err != nil {
			return known, err
		}
		s.found.Put(p.ref(), p.etag, older)
		return older, nil
	})
}

// check compares what is there with what was recorded.
func (p pinned) check(op string, st state) error {
	if p.etag != "" && st.etag != p.etag {
		e := &manifest.Error{Kind: manifest.KindChanged, Op: op, Ref: p.obj.Ref, Expected: p.etag, Found: st.etag}
		switch {
		case p.version != "":
			e.Msg = "the version's ETag is not the recorded one"
		case p.snapshot != "":
			e.Msg = "the snapshot's ETag is not the recorded one"
		}
		return e
	}
	return backends.CheckSize(op, p.obj, st.size)
}

// readFailure sorts errors of reads at a pin.
func readFailure(ctx context.Context, op string, p pinned, err error) error {
	r, refused := replyOf(err)
	switch {
	case !refused || ctx.Err() != nil:
	case r.missing(p.place):
		return backends.Gone(op, p.obj, r.noContainer())
	case r.status == http.StatusPreconditionFailed:
		return backends.Changed(op, p.obj, "")
	}
	return failure(ctx, op, p.obj.Ref, err)
}
