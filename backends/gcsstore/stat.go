package gcsstore

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Stat asks for obj at its pin. KindCorrupt when the generation is there but its
// size or a checksum is not the recorded one; the ETag may be another one, since
// it changes with metadata too. Pins without a generation: see the package.
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

// stat asks once, at p's generation.
func (s *Store) stat(ctx context.Context, op string, p pinned) (state, error) {
	st, err := s.get(ctx, p.place)
	if err != nil {
		return state{}, s.readFailure(ctx, op, p, err)
	}
	return st, p.check(op, st)
}

// check compares what is there with what was recorded.
func (p pinned) check(op string, st state) error {
	if err := backends.CheckSize(op, p.obj, st.size); err != nil {
		return err
	}
	if st.generation != 0 && st.generation != p.generation {
		return corrupt(op, p, "the answer is of another generation", strconv.FormatInt(p.generation, 10), strconv.FormatInt(st.generation, 10))
	}
	told := st.sums()
	for _, want := range p.recorded() {
		for _, got := range told {
			if got.Alg != want.Alg {
				continue
			}
			if err := p.obj.CheckSum(op, want, got.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// recorded are the checksums that the manifest has, the digest if it is one.
func (p pinned) recorded() []manifest.Sum {
	sums := p.obj.Sums()
	if sum, ok := p.obj.Sum(); ok {
		sums = append(sums, sum)
	}
	return sums
}

func corrupt(op string, p pinned, msg, want, got string) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: p.obj.Ref, Msg: msg, Expected: want, Found: got}
}

// readFailure sorts errors of reads at a pin.
func (s *Store) readFailure(ctx context.Context, op string, p pinned, err error) error {
	if r, refused := replyOf(err); refused && r.status == http.StatusNotFound && ctx.Err() == nil {
		return backends.Gone(op, p.obj, s.instead(ctx, p.place))
	}
	return failure(ctx, op, p.obj.Ref, err)
}

// instead says what is there when the generation of p is not; "" when that can't
// be told.
func (s *Store) instead(ctx context.Context, p place) string {
	if p.generation == 0 {
		return ""
	}
	p.generation = 0
	st, err := s.get(ctx, p)
	if err != nil {
		return ""
	}
	return "generation:" + strconv.FormatInt(st.generation, 10)
}

// atPin calls try with p at its generation, which is looked for when the pin does
// not tell it. What was found before and is gone is looked for again.
func atPin[T any](ctx context.Context, s *Store, op string, p pinned, try func(context.Context, string, pinned) (T, error)) (v T, err error) {
	if p.generation != 0 {
		return try(ctx, op, p)
	}
	if p.generation, _ = s.found.Get(p.ref(), p.obj.Pin.String()); p.generation != 0 {
		if v, err = try(ctx, op, p); manifest.KindOf(err) != manifest.KindGone {
			return v, err
		}
	}
	p.generation = 0
	if p.generation, err = s.find(ctx, op, p); err != nil {
		return v, err
	}
	s.found.Put(p.ref(), p.obj.Pin.String(), p.generation)
	return try(ctx, op, p)
}

// find gives the generation that has p's content or ETag: the current one, else an
// older one.
func (s *Store) find(ctx context.Context, op string, p pinned) (int64, error) {
	st, err := s.get(ctx, p.place)
	r, refused := replyOf(err)
	missing := refused && r.status == http.StatusNotFound && ctx.Err() == nil
	switch {
	case err == nil && p.isAt(st):
		return st.generation, nil
	case err != nil && !missing:
		return 0, failure(ctx, op, p.obj.Ref, err)
	}
	older, searchErr := s.older(ctx, op, p)
	switch {
	case older != 0 || searchErr != nil:
		return older, searchErr
	case missing:
		return 0, backends.Gone(op, p.obj, "")
	}
	return 0, backends.Changed(op, p.obj, p.foundText(st))
}

// foundText is what is there of the kind that pins p.
func (p pinned) foundText(st state) string {
	if told := p.told(st); told != "" {
		return told
	}
	return "generation:" + strconv.FormatInt(st.generation, 10) + ", which has no " + p.obj.Pin.Kind.String()
}

// errSilent is a request for metadata that took too long.
var errSilent = errors.New("no answer in time")
