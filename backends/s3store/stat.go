package s3store

import (
	"context"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Stat asks for obj at its pin. An object that is no longer at the ETag which
// pins it is looked for among its older versions. KindCorrupt when the pin is
// there but its size is not the recorded one.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	p, err := parsePin("stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	st, err := atPin(ctx, s, "stat", p, s.stat)
	if err != nil {
		return backends.Info{}, err
	}
	return st.info(p.place), nil
}

// stat asks once, at exactly p.
func (s *Store) stat(ctx context.Context, op string, p pinned) (state, error) {
	st, err := s.head(ctx, p.place, true)
	if err != nil {
		return state{}, readFailure(ctx, op, p, err)
	}
	return st, p.check(op, st)
}

// atPin calls try with p, and again with an older version of the key if p is
// pinned by an ETag that is not the current one's.
func atPin[T any](ctx context.Context, s *Store, op string, p pinned, try func(context.Context, string, pinned) (T, error)) (T, error) {
	if p.byID {
		return try(ctx, op, p)
	}
	known, _ := s.found.Get(p.ref(), p.etag)
	return backends.Elsewhere(known, func(version string) (T, error) {
		at := p
		at.version = version
		return try(ctx, op, at)
	}, func() (string, error) {
		older, err := s.older(ctx, op, p)
		if older == "" || err != nil {
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
		if p.byID {
			e.Msg = "the version's ETag is not the recorded one"
		}
		return e
	}
	return backends.CheckSize(op, p.obj, st.size)
}

// readFailure sorts errors of reads at a pin.
func readFailure(ctx context.Context, op string, p pinned, err error) error {
	r, refused := replyOf(err)
	if !refused || ctx.Err() != nil {
		return failure(ctx, op, p.obj.Ref, err)
	}
	switch {
	case r.missing(), p.version != "" && r.mute() && r.status == 400:
		return goneAs(op, p, r)
	case r.status == 412:
		return backends.Changed(op, p.obj, "")
	}
	return failure(ctx, op, p.obj.Ref, err)
}

func goneAs(op string, p pinned, r reply) error {
	found := ""
	switch {
	case r.header.Get("X-Amz-Delete-Marker") == "true":
		found = "a delete marker"
	case r.code == "NoSuchBucket":
		found = "no such bucket"
	}
	return backends.Gone(op, p.obj, found)
}
