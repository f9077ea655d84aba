package httpstore

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// pinned is what a call asks for: a URL and what must be there.
type pinned struct {
	obj manifest.Object
	url *url.URL
}

// parsePin gives what obj means. KindUnsupported when nothing pins it.
func parsePin(op string, obj manifest.Object) (pinned, error) {
	u, err := parseRef(op, obj.Ref)
	if err != nil {
		return pinned{}, err
	}
	if kind := obj.Pin.Kind; kind != manifest.PinETag && kind != manifest.PinTime {
		return pinned{}, backends.Unpinned(op, obj)
	}
	return pinned{obj: obj, url: u}, nil
}

// weak ETags match nothing in If-Match and If-Range (RFC 9110, 8.8.3.2).
func weak(etag string) bool { return strings.HasPrefix(etag, "W/") }

// precondition is how a request says what it wants.
type precondition uint8

const (
	wantMatch precondition = iota // If-Match, If-Unmodified-Since: 412 if another is there
	wantRange                     // If-Range: the whole of the other one
)

// conditional tells whether the pin can be a precondition.
func (p pinned) conditional() bool {
	return p.obj.Pin.Kind == manifest.PinTime || !weak(p.obj.Pin.Value)
}

// condition sets the headers of c.
func (p pinned) condition(h http.Header, c precondition) {
	switch {
	case !p.conditional():
	case c == wantRange:
		h.Set("If-Range", p.obj.Pin.Value)
	case p.obj.Pin.Kind == manifest.PinETag:
		h.Set("If-Match", p.obj.Pin.Value)
	default:
		h.Set("If-Unmodified-Since", p.obj.Pin.Value)
	}
}

// validator is what st has of the kind that pins p; "" when nothing.
func (p pinned) validator(st state) string {
	if p.obj.Pin.Kind == manifest.PinTime {
		return st.modified
	}
	return st.etag
}

// holds tells whether st is at the pin.
func (p pinned) holds(st state) bool {
	want, got := p.obj.Pin.Value, p.validator(st)
	if got == want {
		return true
	}
	if p.obj.Pin.Kind != manifest.PinTime {
		return false
	}
	a, errA := http.ParseTime(want)
	b, errB := http.ParseTime(got)
	return errA == nil && errB == nil && a.Equal(b)
}

// check compares what is there with what was recorded.
func (p pinned) check(op string, st state) error {
	if !p.holds(st) {
		return p.changed(op, st)
	}
	return p.checkSize(op, st)
}

// changed is the error of an st that is not at the pin.
func (p pinned) changed(op string, st state) error {
	found := p.validator(st)
	switch {
	case found == "" && p.obj.Pin.Kind == manifest.PinTime:
		found = "an answer without Last-Modified"
	case found == "":
		found = "an answer without an ETag"
	}
	return backends.Changed(op, p.obj, backends.OneLine(found))
}

// checkSize: a size is part of a pin by time; under the pinned ETag another size
// is damage.
func (p pinned) checkSize(op string, st state) error {
	if p.obj.Size < 0 || st.size < 0 || st.size == p.obj.Size {
		return nil
	}
	e := &manifest.Error{Kind: manifest.KindChanged, Op: op, Ref: p.obj.Ref, Expected: bytesText(p.obj.Size), Found: bytesText(st.size)}
	if p.obj.Pin.Kind == manifest.PinETag {
		e.Kind, e.Msg = manifest.KindCorrupt, "its size is not the recorded one"
	}
	return e
}

func bytesText(n int64) string { return fmt.Sprintf("%d bytes", n) }
