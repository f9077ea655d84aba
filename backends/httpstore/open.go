package httpstore

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// opened is a stream and what its answer said.
type opened struct {
	body  io.ReadCloser
	state state
}

// Open streams a range of obj at its pin. The pin and the size are compared before
// it returns. Against a server without ranges the first Read takes as long as all
// that is before the range.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	p, err := parsePin("open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	if offset < 0 {
		return nil, backends.Info{}, backends.Invalid("open", obj.Ref, "the offset is negative", "")
	}
	if err := backends.Ended(ctx, "open", obj.Ref); err != nil {
		return nil, backends.Info{}, err
	}
	var o opened
	if length == 0 || obj.Size >= 0 && offset >= obj.Size {
		o, err = s.empty(ctx, p)
	} else {
		o, err = s.open(ctx, p, backends.Span{Offset: offset, Length: length})
	}
	if err != nil {
		return nil, backends.Info{}, err
	}
	info := o.state.info(obj.Ref, p.url)
	if info.Size < 0 {
		info.Size = obj.Size
	}
	return o.body, info, nil
}

// empty is an empty stream of an object that is there.
func (s *Store) empty(ctx context.Context, p pinned) (opened, error) {
	st, err := s.stat(ctx, "open", p)
	return opened{io.NopCloser(bytes.NewReader(nil)), st}, err
}

// open asks for a range that is not empty. It asks again, with If-Range, when the
// answer shows that If-Match was not understood, or leaves open whether it was.
func (s *Store) open(ctx context.Context, p pinned, r backends.Span) (opened, error) {
	how := s.habits.of(p.url.Host)
	resp, err := s.get(ctx, p, r, how)
	if err != nil || how == wantRange {
		return s.answer(ctx, p, r, how, resp, err)
	}
	switch {
	case resp.StatusCode == http.StatusPreconditionFailed:
		discard(resp)
		if _, err := s.stat(ctx, "open", p); err != nil {
			return opened{}, err // as it should be: another one is there
		}
		s.habits.noMatch(p.url.Host)
	case p.mute(resp):
		discard(resp)
	default:
		return s.answer(ctx, p, r, how, resp, nil)
	}
	resp, err = s.get(ctx, p, r, wantRange)
	return s.answer(ctx, p, r, wantRange, resp, err)
}

// mute tells whether a part came without that which pins: it may be one of
// another object.
func (p pinned) mute(resp *http.Response) bool {
	return resp.StatusCode == http.StatusPartialContent && p.validator(stateOf(resp)) == ""
}

func (s *Store) get(ctx context.Context, p pinned, r backends.Span, how precondition) (*http.Response, error) {
	header := http.Header{}
	if !r.Whole(p.obj.Size) {
		header.Set("Range", r.Header())
	}
	if how == wantMatch || header.Get("Range") != "" {
		p.condition(header, how)
	}
	return s.send(ctx, request{op: "open", ref: p.obj.Ref, url: p.url, method: http.MethodGet, header: header})
}

// answer sorts the last answer, or its error, and makes a stream of it if it is
// the pinned object. A part that answers If-Range is one of the pinned object, even
// if it does not say so.
func (s *Store) answer(ctx context.Context, p pinned, r backends.Span, how precondition, resp *http.Response, err error) (opened, error) {
	switch {
	case err != nil:
		return opened{}, err
	case succeeded(resp):
		vouched := how == wantRange && p.conditional() && p.mute(resp)
		body, st, err := accept(ctx, p, r, resp, vouched)
		if err != nil {
			resp.Body.Close()
		}
		return opened{body, st}, err
	}
	discard(resp)
	switch code := resp.StatusCode; {
	case code == http.StatusRequestedRangeNotSatisfiable:
		return s.pastEnd(ctx, p, r)
	case missing(code):
		return opened{}, backends.Gone("open", p.obj, "")
	case code == http.StatusPreconditionFailed: // to a condition that holds, or to none
		return opened{}, backends.Unreachable("open", p.obj.Ref, status(code))
	}
	return opened{}, refusal("open", p.obj.Ref, resp)
}

// pastEnd is the stream of a range that the server can't satisfy: empty, if it is
// past the end of the pinned object.
func (s *Store) pastEnd(ctx context.Context, p pinned, r backends.Span) (opened, error) {
	o, err := s.empty(ctx, p)
	if err == nil && o.state.size > r.Offset {
		return opened{}, backends.Unreachable("open", p.obj.Ref, status(http.StatusRequestedRangeNotSatisfiable))
	}
	return o, err
}

// accept checks the answer against the pin, unless that is vouched for, and against
// the range, and gives the stream.
func accept(ctx context.Context, p pinned, r backends.Span, resp *http.Response, vouched bool) (io.ReadCloser, state, error) {
	st := stateOf(resp)
	if !vouched && !p.holds(st) {
		return nil, st, p.changed("open", st)
	}
	if err := p.checkSize("open", st); err != nil {
		return nil, st, err
	}
	size := st.size
	if size < 0 {
		size = p.obj.Size
	}
	want := int64(-1) // when nobody knows
	if size >= 0 {
		want = r.Of(size)
	}
	b := &stream{ctx: ctx, body: resp.Body, ref: p.obj.Ref, trail: trailOf(resp.Request), left: want, exact: true}
	if resp.StatusCode == http.StatusPartialContent {
		var err error
		b.left, err = checkPart(p, r, resp, want)
		return b, st, err
	}
	if want != 0 { // past the end nothing need be read
		b.skip = r.Offset
		b.toEnd = resp.ContentLength < 0 && r.Offset+want == size
	}
	if size < 0 {
		if len(resp.TransferEncoding) == 0 { // it ends with the connection, and so would a broken one
			return nil, st, corrupt(p, "the answer does not tell its length", "", "")
		}
		b.exact, b.toEnd, b.left = false, false, r.Length
		if r.Length < 0 {
			b.left = math.MaxInt64
		}
	}
	return b, st, nil
}

// checkPart wants a 206 to be just the range that was asked for, of want bytes or
// of a number that nobody knows. It gives its length.
func checkPart(p pinned, r backends.Span, resp *http.Response, want int64) (int64, error) {
	part, ok := parseRange(resp.Header.Get("Content-Range"))
	length := part.last - part.first + 1
	if want < 0 {
		want = length
	}
	switch {
	case !ok:
		return 0, corrupt(p, "the answer is a part, but does not say which", "", "")
	case part.first != r.Offset:
		return 0, corrupt(p, "the answer starts at another offset than asked for", strconv.FormatInt(r.Offset, 10), strconv.FormatInt(part.first, 10))
	case length != want, r.Length >= 0 && length > r.Length:
		return 0, corrupt(p, "the answer has another length than asked for", bytesText(want), bytesText(length))
	case resp.ContentLength >= 0 && length != resp.ContentLength:
		return 0, corrupt(p, "the answer has another length than it says", bytesText(length), bytesText(resp.ContentLength))
	}
	return length, nil
}

func corrupt(p pinned, msg, want, got string) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: "open", Ref: p.obj.Ref, Msg: msg, Expected: want, Found: got}
}
