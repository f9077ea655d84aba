package httpstore

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// List gives the one object that uri names.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	u, err := parseRef("list", uri)
	if err != nil {
		return err
	}
	if err := backends.Ended(ctx, "list", uri); err != nil {
		return err
	}
	st, err := s.look(ctx, "list", uri, u)
	if code, ok := missingCode(err); ok {
		return backends.NoSource("list", uri, code.Error())
	}
	if err != nil {
		return err
	}
	return fn(st.info(uri, u))
}

// nothing is the error of look when nothing is there.
type nothing struct{ status }

func missingCode(err error) (status, bool) {
	n, ok := err.(*nothing) //nolint:errorlint // look gives it as it is
	if !ok {
		return 0, false
	}
	return n.status, true
}

// look asks for the object without reading it: by HEAD, and where that is refused
// or tells no size by a GET of the first byte. 0 counts as no size, since some
// servers make it of what they do not know. The error is *nothing or typed.
func (s *Store) look(ctx context.Context, op, ref string, u *url.URL) (state, error) {
	r := request{op: op, ref: ref, url: u, method: http.MethodHead}
	resp, err := s.send(ctx, r)
	if err != nil {
		return state{}, err
	}
	discard(resp)
	st := stateOf(resp)
	switch code := resp.StatusCode; {
	case succeeded(resp) && st.size > 0:
		return st, nil
	case succeeded(resp):
	case code == http.StatusTooManyRequests, code >= 500 && code != http.StatusNotImplemented:
		return state{}, looked(op, ref, resp)
	}
	r.method, r.header = http.MethodGet, http.Header{"Range": {"bytes=0-0"}}
	return s.peek(ctx, r, succeeded(resp) && st.size == 0, st)
}

// peek is look by a GET; more than a byte of its answer is cut off. An object
// without a first byte is st if known, else asked for as a whole.
func (s *Store) peek(ctx context.Context, r request, known bool, st state) (state, error) {
	resp, err := s.send(ctx, r)
	if err != nil {
		return state{}, err
	}
	discard(resp)
	switch {
	case succeeded(resp):
		return stateOf(resp), nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && known:
		return st, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && r.header != nil:
		r.header = nil
		return s.peek(ctx, r, false, st)
	}
	return state{}, looked(r.op, r.ref, resp)
}

func looked(op, ref string, resp *http.Response) error {
	if missing(resp.StatusCode) {
		return &nothing{status(resp.StatusCode)}
	}
	return refusal(op, ref, resp)
}

// Stat asks for obj at its pin. KindCorrupt when the pinned ETag is there but its
// size is not the recorded one.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	p, err := parsePin("stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	if err := backends.Ended(ctx, "stat", obj.Ref); err != nil {
		return backends.Info{}, err
	}
	st, err := s.stat(ctx, "stat", p)
	if err != nil {
		return backends.Info{}, err
	}
	return st.info(obj.Ref, p.url), nil
}

// stat looks at what is there and compares it.
func (s *Store) stat(ctx context.Context, op string, p pinned) (state, error) {
	st, err := s.look(ctx, op, p.obj.Ref, p.url)
	if _, ok := missingCode(err); ok {
		return state{}, backends.Gone(op, p.obj, "")
	}
	if err != nil {
		return state{}, err
	}
	return st, p.check(op, st)
}
